import { isIPv6 } from 'node:net'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import { managed, ownLabels, serviceLabel, workloadLabels } from './identity-labels.ts'
import type { IstioObject, MeshMode, ObjectRef } from './mesh.ts'
import { effectivePool } from './pool-defaults.ts'

const networking = 'networking.istio.io/v1'
const security = 'security.istio.io/v1'

/** Istio's default `rootNamespace`: objects in it hold for the whole mesh. */
export const rootNamespace = 'istio-system'

/** Tells which writing of an object this is; says nothing to the mesh. */
export const revisionAnnotation = 'mesh.mooring/revision'

/** What peers may know of an endpoint. `none`: never judged, which istiod treats as closed. */
export type EndpointHealth = 'open' | 'closed' | 'none'

export interface WorkloadEntryInput {
  readonly vm: string
  readonly record: VmRecord
  readonly poolName: string
  readonly pool: PoolRecord
  /** Name of the Istio network of its address. @defaultValue the pool's */
  readonly network?: string
  readonly health: EndpointHealth
}

/** The WorkloadEntry of a VM, named after its id: addresses are used again, ids are not. */
export function workloadEntry(input: WorkloadEntryInput): IstioObject {
  const { vm, record, poolName, pool, health } = input
  const effective = effectivePool(pool.spec)
  const network = input.network ?? effective.network
  const ports = effective.service?.ports.map((port) => [port.name, port.target] as const)
  return {
    apiVersion: networking,
    kind: 'WorkloadEntry',
    metadata: {
      name: vm,
      namespace: effective.namespace,
      labels: { ...managed, [ownLabels.pool]: poolName },
      // Makes istiod judge by the condition, and call an entry without one unhealthy
      // (istio pilot/pkg/serviceregistry/serviceentry/controller.go).
      annotations: { 'proxy.istio.io/health-checks-enabled': 'true' },
    },
    spec: {
      address: record.address,
      labels: workloadLabels(poolName, pool.spec),
      serviceAccount: effective.serviceAccount,
      // Here and not in the ServiceEntry, so that pools of one service may listen on different ports.
      ...(ports && { ports: Object.fromEntries(ports) }),
      ...(network !== undefined && network !== '' && { network }),
      ...(effective.locality !== undefined && { locality: effective.locality }),
    },
    ...(health !== 'none' && {
      status: { conditions: [{ type: 'Healthy', status: health === 'open' ? 'True' : 'False' }] },
    }),
  }
}

/**
 * What a pool needs once: its ServiceEntry (shared by all pools of the host) and its Sidecar. In a cluster also its
 * identity, its group (by which Istio's own tools show its VMs), and mutual TLS for its VMs alone.
 */
export function poolObjects(
  poolName: string,
  pool: PoolRecord,
  /** `address6`: where the mesh is of both families. */
  service: { readonly address: string; readonly address6?: string },
  mode: MeshMode = 'standalone',
): IstioObject[] {
  const entry = serviceEntry(pool, mode === 'kubernetes' ? [] : addressesOf(service))
  const own = sidecar(poolName, pool, mode)
  if (mode === 'standalone') return entry === undefined ? [own] : [entry, own]
  return [
    serviceAccount(pool),
    ...(pool.spec.workloadGroup === undefined ? [workloadGroup(poolName, pool)] : []),
    ...(entry === undefined || pool.spec.service?.existing === true ? [] : [entry]),
    own,
    strictPool(poolName, pool),
  ]
}

function serviceAccount(pool: PoolRecord): IstioObject {
  const { namespace, serviceAccount: name } = pool.spec
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace, labels: managed },
    spec: {},
  }
}

function workloadGroup(poolName: string, pool: PoolRecord): IstioObject {
  const { namespace, serviceAccount: account, service, network, locality } = effectivePool(pool.spec)
  return {
    apiVersion: networking,
    kind: 'WorkloadGroup',
    metadata: { name: poolName, namespace, labels: { ...managed, [ownLabels.pool]: poolName } },
    spec: {
      metadata: { labels: workloadLabels(poolName, pool.spec) },
      template: {
        serviceAccount: account,
        ...(service && { ports: Object.fromEntries(service.ports.map((port) => [port.name, port.target])) }),
        ...(network !== undefined && network !== '' && { network }),
        ...(locality !== undefined && { locality }),
      },
    },
  }
}

/** In a cluster others live too, who may still speak plain text: what is said holds for the pool's VMs alone. */
function strictPool(poolName: string, pool: PoolRecord): IstioObject {
  return {
    apiVersion: security,
    kind: 'PeerAuthentication',
    metadata: {
      name: poolName,
      namespace: pool.spec.namespace,
      labels: { ...managed, [ownLabels.pool]: poolName },
    },
    spec: { selector: { matchLabels: { [ownLabels.pool]: poolName } }, mtls: { mode: 'STRICT' } },
  }
}

function addressesOf({
  address,
  address6,
}: {
  readonly address: string
  readonly address6?: string
}): string[] {
  return address6 === undefined ? [address] : [address, address6]
}

/** Without addresses istiod gives it some (istio pilot/pkg/controllers/ipallocate, Kubernetes alone). */
function serviceEntry(pool: PoolRecord, addresses: readonly string[]): IstioObject | undefined {
  const { namespace, service } = effectivePool(pool.spec)
  if (service === undefined) return undefined
  return {
    apiVersion: networking,
    kind: 'ServiceEntry',
    metadata: { name: service.host, namespace, labels: managed },
    spec: {
      hosts: [service.host],
      ...(addresses.length > 0 && { addresses: [...addresses] }),
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: service.ports.map(({ number, name, protocol }) => ({ number, name, protocol })),
      workloadSelector: { labels: { [ownLabels.service]: serviceLabel(service.host) } },
    },
  }
}

/**
 * Fixes the inbound listeners of the pool's sidecars. Without it they follow from whether istiod counts
 * the entry as a target of its service at this moment, and change under live connections.
 */
function sidecar(poolName: string, pool: PoolRecord, mode: MeshMode): IstioObject {
  const { namespace, service } = effectivePool(pool.spec)
  const byTarget = new Map(service?.ports.map((port) => [port.target, port]))
  const ingress = [...byTarget.values()]
    .sort((a, b) => a.target - b.target)
    .map(({ name, protocol, target }) => ({
      port: { number: target, name, protocol },
      // Reaches an application bound to loopback as well as one bound to every address.
      defaultEndpoint: `127.0.0.1:${target}`,
    }))
  return {
    apiVersion: networking,
    kind: 'Sidecar',
    metadata: {
      name: poolName,
      namespace,
      labels: { ...managed, [ownLabels.pool]: poolName },
      // `istioctl analyze` looks for its workloads among pods alone (istio pkg/config/analysis/analyzers/sidecar,
      // SelectorAnalyzer), and would call every pool an error.
      ...(mode === 'kubernetes' && { annotations: { 'galley.istio.io/analyze-suppress': 'IST0101' } }),
    },
    spec: {
      workloadSelector: { labels: { [ownLabels.pool]: poolName } },
      ...(ingress.length > 0 && { ingress }),
      egress: [{ hosts: ['*/*'] }],
    },
  }
}

/** What the whole mesh needs once: peers talk mutual TLS or not at all. A cluster's mesh is not Mooring's alone. */
export function meshObjects(mode: MeshMode = 'standalone'): IstioObject[] {
  if (mode === 'kubernetes') return []
  return [
    {
      apiVersion: security,
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: rootNamespace, labels: managed },
      spec: { mtls: { mode: 'STRICT' } },
    },
  ]
}

/** Denies an evicted VM's address everywhere: its workload certificate may outlive its removal. */
export function evictionPolicy(vmId: string, record: VmRecord): IstioObject {
  const block = `${record.address}/${isIPv6(record.address) ? 128 : 32}`
  return {
    apiVersion: security,
    kind: 'AuthorizationPolicy',
    metadata: { name: `evicted-${vmId}`, namespace: rootNamespace, labels: managed },
    spec: { action: 'DENY', rules: [{ from: [{ source: { ipBlocks: [block] } }] }] },
  }
}

/** What names an object. */
export function refOf(object: IstioObject): ObjectRef {
  return { kind: object.kind, name: object.metadata.name, namespace: object.metadata.namespace }
}

/** Whether two objects say the same to istiod; the order of keys and the revision do not count. */
export function sameObject(a: IstioObject, b: IstioObject): boolean {
  return canonical(meaning(a)) === canonical(meaning(b))
}

function meaning(object: IstioObject): unknown {
  const { apiVersion, kind, metadata, spec, status } = object
  const { [revisionAnnotation]: _, ...annotations } = metadata.annotations ?? {}
  const { name, namespace, labels = {} } = metadata
  return { apiVersion, kind, name, namespace, labels, annotations, spec, status }
}

/** JSON with sorted keys: equal values give equal texts. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
