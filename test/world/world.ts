import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PoolSpec } from '../../shared/api/operator.ts'
import { type BakedSidecar, bakeSidecar } from '../testbed/bake.ts'
import { mustRun } from '../testbed/command.ts'
import { createNetwork, type Network, type VmOptions } from '../testbed/network/network.ts'
import { ensureParts, type Parts } from '../testbed/parts/parts.ts'
import { type Progress, silentProgress } from '../testbed/progress.ts'
import type { Caller } from './caller.ts'
import {
  type ClusterOfController,
  type ControllerDeps,
  type ControllerProcess,
  createController,
} from './controller-process.ts'
import { type Load, type LoadOptions, startLoad } from './load.ts'
import { createMember, type Member } from './member.ts'
import { enrol, type Operator } from './operator.ts'

/** The name under which the servers of a world are called, and their ports. */
export const echo = { host: 'echo.mooring.internal', http: 8080, http2: 8081, tcp: 8082 } as const

/** The pool of VMs that serve: an application with HTTP/1.1, HTTP/2 with gRPC, and plain TCP. */
export const serverPool: PoolSpec = {
  namespace: 'default',
  serviceAccount: 'echo',
  labels: { app: 'echo' },
  service: {
    host: echo.host,
    ports: [
      { name: 'http', number: echo.http, protocol: 'HTTP' },
      { name: 'http2', number: echo.http2, protocol: 'HTTP2' },
      { name: 'tcp', number: echo.tcp, protocol: 'TCP' },
    ],
  },
  join: { methods: ['token', 'renew'], cidrs: ['10.77.0.0/24'] },
  probe: { http: { path: '/health', port: echo.http } },
}

/** The pool of VMs that only call. */
export const clientPool: PoolSpec = {
  namespace: 'default',
  serviceAccount: 'caller',
  labels: { app: 'caller' },
  join: { methods: ['token', 'renew'], cidrs: ['10.77.0.0/24'] },
}

/** A controller with its mesh and an operator, in a network of its own. */
export interface World {
  readonly parts: Parts
  readonly sidecar: BakedSidecar
  readonly network: Network
  readonly controller: ControllerProcess
  readonly operator: Operator
  /** A VM of a pool, with a join token; nothing is started. */
  prepare(name: string, pool: string, options?: BootOptions): Promise<Member>
  /** Prepares a VM, starts application and agent, and waits until it is ready. */
  boot(name: string, pool: string, options?: BootOptions): Promise<Member>
  /** Makes the sidecar that this VM installed part of the image of those prepared later; `boot` does so with its first. */
  bake(member: Member): Promise<void>
  /** Load on the servers from a VM, over every protocol. */
  load(from: { readonly vm: Caller }, options?: Partial<LoadOptions>): Load
  close(): Promise<void>
}

export interface BootOptions {
  readonly vm?: VmOptions
  readonly token?: string
  readonly config?: Readonly<Record<string, unknown>>
  /** Whether the sidecar is in the image. @defaultValue true, once one VM of this world has installed it */
  readonly baked?: boolean
}

/** What a world is built of, in this order. */
export type WorldPart = 'parts' | 'network' | 'controller' | 'pools'

export interface WorldDeps {
  readonly name: string
  readonly progress?: Progress
  readonly signal?: AbortSignal
  /** Told when a part of the world stands. */
  readonly onBuilt?: (part: WorldPart) => void
  readonly controller?: Partial<ControllerDeps>
  /** Starts the cluster whose mesh it is to be; without it the mesh is the controller's own. */
  readonly startCluster?: (network: Network) => Promise<ClusterOfController>
  /** Makes the controller; by default it is a process of the host. */
  readonly createController?: (deps: ControllerDeps) => Promise<ControllerProcess>
  /** Makes the administrator; by default the interface is called, without the command line. */
  readonly enrol?: (controller: ControllerProcess) => Promise<Operator>
  /** Changes to the two pools; `null` leaves a pool out. */
  readonly servers?: Partial<PoolSpec> | null
  readonly clients?: Partial<PoolSpec> | null
}

/** Builds a world: parts, network, controller, administrator, and the pools `servers` and `clients`. */
export async function createWorld(deps: WorldDeps): Promise<World> {
  const { progress = silentProgress, signal, onBuilt = () => {} } = deps
  const limits = signal === undefined ? {} : { signal }
  const parts = await ensureParts({ progress, ...limits })
  const sidecar = await bakeSidecar({ parts, progress, ...limits })
  onBuilt('parts')
  const network = await createNetwork({ name: deps.name, ...limits })
  onBuilt('network')
  let bakedState: string | undefined
  try {
    const cluster = await deps.startCluster?.(network)
    const controller = await (deps.createController ?? createController)({
      ...{ network, parts, sidecar, ...(cluster && { cluster }) },
      ...deps.controller,
    })
    await controller.start()
    onBuilt('controller')
    const operator = await (deps.enrol ?? enrolDirectly)(controller)
    if (deps.servers !== null) await operator.applyPool('servers', { ...serverPool, ...deps.servers })
    if (deps.clients !== null) await operator.applyPool('clients', { ...clientPool, ...deps.clients })
    onBuilt('pools')

    const prepare = async (name: string, pool: string, options: BootOptions = {}) => {
      const vm = await network.addVm(name, options.vm)
      const token = options.token ?? (await operator.createToken(pool)).token
      return createMember({
        vm,
        pool,
        controller,
        operator,
        token,
        ...(bakedState !== undefined && options.baked !== false && { bakedState }),
        ...(options.config !== undefined && { config: options.config }),
      })
    }
    const bake = async (member: Member) => {
      bakedState ??= await keepSidecar(network, member)
    }
    return {
      parts,
      sidecar,
      network,
      controller,
      operator,
      prepare,
      async boot(name, pool, options) {
        const member = await prepare(name, pool, options)
        if (pool === 'servers') await member.startApp()
        await member.startAgent()
        await member.waitPhase('ready')
        await bake(member)
        return member
      },
      bake,
      load: (from, options) => startLoad(from.vm, { host: echo.host, ports: allPorts, ...options }),
      close: () => network.close(),
    }
  } catch (error) {
    await network.close()
    throw error
  }
}

function enrolDirectly(controller: ControllerProcess): Promise<Operator> {
  return enrol({ url: controller.operatorUrl, ca: controller.ca }, controller.enrolmentCode)
}

const allPorts = {
  http1: echo.http,
  http2: echo.http2,
  grpc: echo.http2,
  download: echo.http,
  tcp: echo.tcp,
} as const

// What the first VM installed becomes part of the image of those that follow: programs, and nothing of its identity.
async function keepSidecar(network: Network, member: Member): Promise<string> {
  const kept = join(network.tempDir, 'image-sidecar')
  const installed = join(member.vm.root, 'var/lib/mooring/sidecar')
  await mkdir(kept, { mode: 0o755 })
  await mustRun('cp', ['-al', join(installed, 'versions'), join(installed, 'current'), kept])
  return kept
}
