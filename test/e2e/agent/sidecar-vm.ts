import type { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Bundle } from '../../../shared/api/bundle.ts'
import type { BakedSidecar } from '../../testbed/bake.ts'
import type { Vm } from '../../testbed/network/vm.ts'
import { type Istiod, until } from './istiod.ts'

export interface DriverEvent {
  readonly event: string
  readonly at: number
  readonly [field: string]: unknown
}

/** The driver in a VM. */
export interface Driver {
  readonly pid: number
  readonly events: readonly DriverEvent[]
  /** Does an operation; rejects with `{code, text}` when it failed. */
  // biome-ignore lint/suspicious/noExplicitAny: each operation has a result of its own
  call(op: string, input?: object): Promise<any>
  /** The first event from `since` on that fits; waits for it. */
  event(fits: (event: DriverEvent) => boolean, since?: number): Promise<DriverEvent>
  /** SIGKILL: what it started lives on. */
  kill(): Promise<void>
}

const program = fileURLToPath(new URL('driver.ts', import.meta.url))
// The runtime that the agent ships on; unit tests run the same modules on Node.
const bun = fileURLToPath(new URL('../../../node_modules/.bin/bun', import.meta.url))
export const goArch = process.arch === 'arm64' ? 'arm64' : 'amd64'
export const stateOf = (vm: Vm) => join(vm.root, 'var/lib/mooring')

/** Starts the driver in a VM, with the given archive to install from. */
export async function startDriver(vm: Vm, archive: string): Promise<Driver> {
  const errors = openSync(join(vm.root, 'driver.log'), 'a')
  const child: ChildProcess = vm.spawn(bun, [program, stateOf(vm), archive, goArch], {
    stdio: ['pipe', 'pipe', errors],
  })
  const events: DriverEvent[] = []
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  let lastId = 0
  if (child.stdout === null) throw new Error('no output')
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line)
    if (message.event !== undefined) return events.push(message)
    const call = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.error !== undefined) call?.reject(Object.assign(new Error(message.error.text), message.error))
    else call?.resolve(message.result)
    return undefined
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    pid: child.pid as number,
    events,
    call(op, input = {}) {
      const id = ++lastId
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        child.stdin?.write(`${JSON.stringify({ id, op, ...input })}\n`)
      })
    },
    async event(fits, since = 0) {
      let found: DriverEvent | undefined
      await until(async () => {
        found = events.slice(since).find(fits)
        return found !== undefined
      })
      return found as DriverEvent
    },
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** A bundle as a controller would make it. */
export async function bundleFor(
  vm: Vm,
  deps: { istiod?: Istiod; baked: BakedSidecar; app: string; change?: (bundle: Bundle) => void },
): Promise<Bundle> {
  const { istiod, baked, app } = deps
  const bundle: Bundle = {
    revision: '1',
    vm: vm.name,
    pool: app,
    mesh: {
      trustDomain: 'cluster.local',
      meshId: 'mesh',
      clusterId: 'Kubernetes',
      network: '',
      istiod: {
        host: 'istiod.istio-system.svc',
        address: istiod?.address ?? '127.0.0.1',
        port: istiod?.port ?? 15012,
      },
      rootCertificates: istiod?.rootCertificates ?? 'none',
      proxyConfig: { concurrency: 1 },
      environment: {},
    },
    workload: {
      name: app,
      namespace: 'default',
      serviceAccount: app,
      address: vm.address,
      labels: { app },
      ports: [
        { name: 'http', number: 80, target: 8080, protocol: 'HTTP' },
        { name: 'grpc', number: 81, target: 8081, protocol: 'GRPC' },
        { name: 'tcp', number: 82, target: 8082, protocol: 'TCP' },
      ],
      certificateTtlSeconds: 3600,
    },
    token: { value: (await istiod?.token(app)) ?? 'none', expiresAt: Date.now() + 3_600_000 },
    capture: {
      enabled: true,
      dns: true,
      excludeInboundPorts: [],
      excludeOutboundPorts: [],
      excludeOutboundCidrs: [],
      excludeInterfaces: [],
      whenSidecarDown: 'open',
    },
    drain: { deadlineSeconds: 15, quietSeconds: 1 },
    sidecar: {
      artifacts: [{ version: baked.version, arch: goArch, sha256: baked.sha256, size: baked.size }],
    },
  }
  deps.change?.(bundle)
  return bundle
}

/** The objects that put a pool's VMs behind one service name. */
export function poolObjects(app: string, host: string, vms: readonly Vm[]): readonly object[] {
  const networking = 'networking.istio.io/v1'
  const ports = [
    { name: 'http', number: 80, target: 8080, protocol: 'HTTP' },
    { name: 'grpc', number: 81, target: 8081, protocol: 'GRPC' },
    { name: 'tcp', number: 82, target: 8082, protocol: 'TCP' },
  ]
  const meta = (name: string) => ({ name, namespace: 'default' })
  return [
    {
      apiVersion: networking,
      kind: 'ServiceEntry',
      metadata: meta(app),
      spec: {
        hosts: [host],
        addresses: ['240.77.0.1'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: ports.map(({ target, ...port }) => ({ ...port, targetPort: target })),
        workloadSelector: { labels: { app } },
      },
    },
    {
      apiVersion: networking,
      kind: 'Sidecar',
      metadata: meta(app),
      spec: {
        workloadSelector: { labels: { app } },
        ingress: ports.map(({ name, protocol, target }) => ({
          port: { number: target, name, protocol },
          defaultEndpoint: `127.0.0.1:${target}`,
        })),
        egress: [{ hosts: ['*/*'] }],
      },
    },
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: 'istio-system' },
      spec: { mtls: { mode: 'STRICT' } },
    },
    ...vms.map((vm) => ({
      apiVersion: networking,
      kind: 'WorkloadEntry',
      metadata: { ...meta(vm.name), annotations: { 'proxy.istio.io/health-checks-enabled': 'true' } },
      spec: { address: vm.address, labels: { app }, serviceAccount: app },
      status: { conditions: [{ type: 'Healthy', status: 'True' }] },
    })),
  ]
}
