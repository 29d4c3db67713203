import type { IstioObject, Mesh, MeshFacts, MeshMode, ObjectRef } from '../../controller/mesh/mesh.ts'
import { refOf } from '../../controller/mesh/objects.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'

/** A write into the mesh, or a question whether one was taken in. */
export interface MeshCall {
  readonly call: 'apply' | 'remove' | 'taken'
  readonly ref: ObjectRef
  /** Of an applied WorkloadEntry. */
  readonly health?: 'open' | 'closed' | 'none'
}

/** A mesh in memory that remembers what was asked of it, and can be told to fail. It serves nobody. */
export interface FakeMesh extends Mesh {
  readonly objects: ReadonlyMap<string, IstioObject>
  readonly calls: readonly MeshCall[]
  /** While set, writes throw; `after`: they take effect first. */
  fault: 'none' | 'before' | 'after'
  /** While set, `taken` waits until it is aborted. */
  lags: boolean
  meshFacts: MeshFacts
  /** Puts an object there behind the controller's back. */
  plant(object: IstioObject): void
  /** Takes one away behind the controller's back. */
  lose(ref: ObjectRef): void
  /** What peers may know of the WorkloadEntries of that name, one per entry. */
  endpoints(vm: string): readonly ('open' | 'closed' | 'none')[]
}

export const fakeFacts: MeshFacts = {
  trustDomain: 'cluster.local',
  meshId: 'mesh1',
  clusterId: 'Kubernetes',
  network: '',
  istiod: { host: 'istiod.istio-system.svc', address: '10.77.0.1', port: 15012 },
  rootCertificates: 'PEM',
  proxyConfig: {},
  environment: {},
  artifacts: [],
  certificateTtlSeconds: 3600,
}

export function createFakeMesh(deps: { readonly clock: Clock; readonly mode?: MeshMode }): FakeMesh {
  const objects = new Map<string, IstioObject>()
  const calls: MeshCall[] = []

  function write(call: MeshCall, effect: () => void): void {
    calls.push(call)
    if (mesh.fault !== 'before') effect()
    if (mesh.fault !== 'none') throw new MooringError('MESH_UNAVAILABLE', { detail: 'told to fail' })
  }

  const mesh: FakeMesh = {
    mode: deps.mode ?? 'standalone',
    objects,
    calls,
    fault: 'none',
    lags: false,
    meshFacts: fakeFacts,
    plant: (object) => void objects.set(keyOf(refOf(object)), object),
    lose: (ref) => void objects.delete(keyOf(ref)),
    endpoints: (vm) =>
      [...objects.values()]
        .filter((o) => o.kind === 'WorkloadEntry' && o.metadata.name === vm)
        .map((o) => healthOf(o)),
    async start() {},
    facts: () => mesh.meshFacts,
    async apply(object) {
      const ref = refOf(object)
      const health = object.kind === 'WorkloadEntry' ? { health: healthOf(object) } : {}
      write({ call: 'apply', ref, ...health }, () => objects.set(keyOf(ref), object))
    },
    async remove(ref) {
      write({ call: 'remove', ref }, () => objects.delete(keyOf(ref)))
    },
    async list() {
      return [...objects.values()]
    },
    async taken(ref, signal) {
      calls.push({ call: 'taken', ref })
      if (!mesh.lags) return
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    },
    async mint(request) {
      const token = new Secret(`token of ${request.vm}`)
      return { token, expiresAt: deps.clock.now() + request.ttlSeconds * 1_000 }
    },
    health: () => [],
    async close() {},
  }
  return mesh
}

function keyOf(ref: ObjectRef): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`
}

function healthOf(object: IstioObject): 'open' | 'closed' | 'none' {
  const { conditions } = (object.status ?? {}) as { conditions?: { type: string; status: string }[] }
  const healthy = conditions?.find((c) => c.type === 'Healthy')?.status
  if (healthy === undefined) return 'none'
  return healthy === 'True' ? 'open' : 'closed'
}
