import type { ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { BakedSidecar } from '../testbed/bake.ts'
import type { Network } from '../testbed/network/network.ts'
import type { Parts } from '../testbed/parts/parts.ts'
import { waitFor } from './waiting.ts'

const project = resolve(import.meta.dirname, '../..')
const firstPort = 8443

/** A real controller in the host namespace; it may be killed and started again over the same data folder. */
export interface ControllerProcess {
  /** Where VMs and operators reach it. */
  readonly url: string
  readonly operatorUrl: string
  /** Where VMs reach it over IPv6, if it is of both families. */
  readonly url6: string
  readonly dataDir: string
  readonly logFile: string
  /** PEM and pin of its certificate authority; known after the first start. */
  readonly ca: string
  readonly pin: string
  readonly enrolmentCode: string
  readonly pid: number
  start(options?: { env?: Readonly<Record<string, string>> }): Promise<void>
  /** SIGTERM, and waits until it is gone. */
  stop(): Promise<void>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** Resolves when the process ended by itself. */
  exited(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

export interface ClusterOfController {
  /** Path of the kubeconfig that the controller has. */
  readonly kubeconfig: string
  /** The controller's own namespace. */
  readonly namespace: string
  /** Where VMs reach istiod, as host:port. */
  readonly istiodAddress: string
  /** The same of further revisions. */
  readonly istiodAddresses?: Readonly<Record<string, string>>
}

export interface ControllerDeps {
  readonly network: Network
  readonly parts: Parts
  readonly sidecar: BakedSidecar
  /** Tells replicas apart. @defaultValue `controller` */
  readonly name?: string
  /** @defaultValue 8443 */
  readonly port?: number
  /** The cluster whose mesh it serves; without it the mesh is its own. */
  readonly cluster?: ClusterOfController
  /** Merged over istiod's mesh configuration. */
  readonly meshConfig?: Readonly<Record<string, unknown>>
  /** Artifacts instead of the good one; for tests of bad ones. */
  readonly artifacts?: readonly { version: string; arch: 'amd64' | 'arm64'; file: string }[]
  /** How machines are injected by SSH. */
  readonly injection?: Readonly<Record<string, unknown>>
  /** More environment for every sidecar. */
  readonly sidecarEnvironment?: Readonly<Record<string, string>>
  /** Whether controller and istiod are reached over IPv6 too, and the mesh is one of both families. */
  readonly dualStack?: boolean
  /** DNS names under which VMs reach it, beside its addresses. */
  readonly names?: readonly string[]
  /** Lives of certificates and tokens, where the defaults are too long to see their end. */
  readonly certificates?: {
    readonly agentTtlSeconds?: number
    readonly tokenTtlSeconds?: number
    readonly workloadTtlSeconds?: number
  }
}

interface Announcement {
  readonly url: string
  readonly pin: string
  readonly ca: string
  readonly enrolment?: string
}

/** Prepares a controller; `start` runs it. */
export async function createController(deps: ControllerDeps): Promise<ControllerProcess> {
  const { network, parts, sidecar, dualStack = false, name = 'controller', port = firstPort } = deps
  const bothFamilies = dualStack ? { ISTIO_DUAL_STACK: 'true' } : {}
  const dataDir = join(network.hostDir, name)
  const configFile = join(network.hostDir, `${name}.yaml`)
  const logFile = join(network.hostDir, `${name}.log`)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const config = {
    listen: `${dualStack ? '[::]' : '0.0.0.0'}:${port}`,
    advertise: [
      ...[network.hostAddress, network.uplink.inside, ...(dualStack ? [network.hostAddress6] : [])],
      ...(deps.names ?? []),
    ],
    dataDir,
    mesh: deps.cluster
      ? { mode: 'kubernetes', kubernetes: deps.cluster }
      : {
          mode: 'standalone',
          istiod: {
            binary: parts.istiod,
            ...(dualStack
              ? { listen: '[::]:15012', address: network.hostAddress6 }
              : { address: network.hostAddress }),
            // Upstream Envoy lacks the filters that Istio's own build has.
            environment: {
              PILOT_ENABLE_METADATA_EXCHANGE: 'false',
              PILOT_ENABLE_ALPN_FILTER: 'false',
              ...bothFamilies,
            },
            meshConfig: {
              defaultProviders: {},
              // Istio's own retries would hide failed requests.
              defaultHttpRetryPolicy: { attempts: 0 },
              ...deps.meshConfig,
            },
          },
        },
    sidecar: {
      artifacts: deps.artifacts ?? [{ version: sidecar.version, arch, file: sidecar.path }],
      environment: { ...bothFamilies, ...deps.sidecarEnvironment },
    },
    certificates: deps.certificates ?? {},
    injection: deps.injection ?? {},
  }
  await writeFile(configFile, JSON.stringify(config, null, 2))

  let child: ChildProcess | undefined
  let announced: Announcement | undefined
  let enrolmentCode = ''
  let ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }> | undefined

  async function start(options: { env?: Readonly<Record<string, string>> } = {}): Promise<void> {
    const log = createWriteStream(logFile, { flags: 'a' })
    const started = network.host.spawn(
      process.execPath,
      [join(project, 'controller/main.ts'), 'run', '--config', configFile, '--json'],
      {
        cwd: project,
        env: { PATH: process.env.PATH ?? '', HOME: '/', LANG: 'C.UTF-8', ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    child = started
    started.stderr?.pipe(log)
    ended = new Promise((resolve) => started.once('exit', (code, signal) => resolve({ code, signal })))
    const line = new Promise<Announcement | undefined>((resolve) => {
      const lines = createInterface({ input: started.stdout as NodeJS.ReadableStream })
      lines.once('line', (text) => resolve(JSON.parse(text) as Announcement))
      lines.once('close', () => resolve(undefined))
    })
    announced = (await Promise.race([line, ended.then(() => undefined)])) ?? announced
    if (announced === undefined || started.exitCode !== null) {
      // A kill point may end it right away; only a start that nobody asked to die is a failure.
      if (options.env?.MOORING_TEST_KILL_AFTER !== undefined) return
      throw new Error(`the controller did not start:\n${(await readFile(logFile, 'utf8')).slice(-4000)}`)
    }
    if (announced.enrolment !== undefined) enrolmentCode = announced.enrolment
  }

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    process.kill(child.pid, signal)
    await waitFor(() => child?.exitCode !== null || child?.signalCode !== null, {
      what: `the controller to end after ${signal}`,
    })
  }

  return {
    url: `https://${network.hostAddress}:${port}`,
    url6: `https://[${network.hostAddress6}]:${port}`,
    operatorUrl: `https://${network.uplink.inside}:${port}`,
    dataDir,
    logFile,
    get ca() {
      return announced?.ca ?? ''
    },
    get pin() {
      return announced?.pin ?? ''
    },
    get enrolmentCode() {
      return enrolmentCode
    },
    get pid() {
      return child?.pid ?? 0
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    exited: () => ended ?? Promise.resolve({ code: null, signal: null }),
  }
}
