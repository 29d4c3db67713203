import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { MooringError } from '../../../shared/errors.ts'
import { managed, ownLabels } from '../identity-labels.ts'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { refOf } from '../objects.ts'
import { serviceKey } from '../service-address.ts'
import { refText } from './object-file.ts'

/** A service with what istiod tells peers of it. */
export interface Service {
  /** All of them, sorted. */
  readonly addresses: string
  /** `number/name/protocol`, sorted. */
  readonly ports: string
  /** By `address|port name`. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
}

export interface Endpoint {
  /** Name of its WorkloadEntry. */
  readonly workload: string
  readonly port: number
  readonly identity: string
  readonly network: string
  readonly locality: string
  readonly labels: Readonly<Record<string, string>>
}

/** Services by `namespace/host`. */
export type Registry = ReadonlyMap<string, Service>

/** One way in which istiod's registry is not what the objects say. */
export interface Difference {
  /** The object that istiod has not taken in. */
  readonly about: ObjectRef
  /** The object that can be changed to make istiod look again; an object that is gone has none. */
  readonly nudge: ObjectRef | undefined
  readonly text: string
}

interface ServiceEntrySpec {
  readonly hosts: readonly string[]
  readonly addresses?: readonly string[]
  readonly ports: readonly { number: number; name: string; protocol: string }[]
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> }
}

interface WorkloadEntrySpec {
  readonly address: string
  readonly labels?: Readonly<Record<string, string>>
  readonly serviceAccount?: string
  readonly ports?: Readonly<Record<string, number>>
  readonly network?: string
  readonly locality?: string
}

/** The registry that istiod should have with these objects (istio pilot/pkg/serviceregistry/serviceentry). */
export function expectedRegistry(objects: readonly IstioObject[], trustDomain: string): Registry {
  const registry = new Map<string, Service>()
  // By the one label that selects; matching every entry with every service would be quadratic.
  const openByService = Map.groupBy(
    objects.filter(isOpenEntry),
    (entry) => `${entry.metadata.namespace}/${specOfEntry(entry).labels?.[ownLabels.service] ?? ''}`,
  )
  for (const object of objects) {
    if (object.kind !== 'ServiceEntry') continue
    const spec = object.spec as unknown as ServiceEntrySpec
    const { namespace } = object.metadata
    const selector = spec.workloadSelector?.labels[ownLabels.service]
    const entries = selector === undefined ? [] : (openByService.get(`${namespace}/${selector}`) ?? [])
    const endpoints = new Map<string, Endpoint>()
    for (const entry of entries) {
      const workload = specOfEntry(entry)
      for (const port of spec.ports) {
        endpoints.set(`${workload.address}|${port.name}`, {
          workload: entry.metadata.name,
          port: workload.ports?.[port.name] ?? port.number,
          identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${workload.serviceAccount ?? ''}`,
          network: workload.network ?? '',
          locality: workload.locality ?? '',
          labels: workload.labels ?? {},
        })
      }
    }
    registry.set(serviceKey(namespace, spec.hosts[0] ?? ''), {
      addresses: [...(spec.addresses ?? [])].sort().join(' '),
      ports: portsText(spec.ports),
      endpoints,
    })
  }
  return registry
}

function isOpenEntry(object: IstioObject): boolean {
  if (object.kind !== 'WorkloadEntry') return false
  const conditions = object.status?.conditions as { type: string; status: string }[] | undefined
  return conditions?.some((c) => c.type === 'Healthy' && c.status === 'True') ?? false
}

function specOfEntry(object: IstioObject): WorkloadEntrySpec {
  return object.spec as unknown as WorkloadEntrySpec
}

function portsText(ports: readonly { number: number; name: string; protocol: string }[]): string {
  return ports
    .map(({ number, name, protocol }) => `${number}/${name}/${protocol}`)
    .sort()
    .join(' ')
}

const Text = Type.String()
const RegistryAnswer = Type.Array(
  Type.Object({
    hostname: Text,
    defaultAddress: Text,
    ports: Type.Union([
      Type.Null(),
      Type.Array(Type.Object({ name: Text, port: Type.Integer(), protocol: Text })),
    ]),
    Attributes: Type.Object({
      Namespace: Text,
      Labels: Type.Union([Type.Null(), Type.Record(Text, Text)]),
    }),
  }),
)
const EndpointAnswer = Type.Object({
  Addresses: Type.Union([Type.Null(), Type.Array(Text)]),
  ServicePortName: Text,
  EndpointPort: Type.Integer(),
  ServiceAccount: Text,
  Network: Text,
  WorkloadName: Text,
  Locality: Type.Object({ Label: Text }),
  Labels: Type.Union([Type.Null(), Type.Record(Text, Text)]),
})
/** Host → namespace → shards; one shard holds what came from our objects. */
const ShardsAnswer = Type.Record(
  Text,
  Type.Record(
    Text,
    Type.Object({
      Shards: Type.Union([
        Type.Null(),
        Type.Record(Text, Type.Union([Type.Null(), Type.Array(EndpointAnswer)])),
      ]),
    }),
  ),
)
type ShardsAnswer = Static<typeof ShardsAnswer>

// Compiled: with 1,000 endpoints an interpreted check takes as long as all the rest of a look.
const registryAnswer = Compile(RegistryAnswer)
const shardsAnswer = Compile(ShardsAnswer)

/** The registry that istiod has, from its `/debug/registryz` and `/debug/endpointShardz`: ours alone. */
export function parseRegistry(services: unknown, shards: unknown): Registry {
  if (!registryAnswer.Check(services) || !shardsAnswer.Check(shards)) {
    throw new MooringError('MESH_UNAVAILABLE', { detail: "istiod's registry has an unknown form" })
  }
  const registry = new Map<string, Service>()
  const [[ownKey, ownValue] = ['', '']] = Object.entries(managed)
  for (const { hostname, defaultAddress, ports, Attributes } of services) {
    if (Attributes.Labels?.[ownKey] !== ownValue) continue
    const key = serviceKey(Attributes.Namespace, hostname)
    // A service with several addresses is there once for each (convertServices of the same package).
    const others = registry.get(key)?.addresses.split(' ') ?? []
    registry.set(key, {
      addresses: [...others, defaultAddress].sort().join(' '),
      ports: portsText((ports ?? []).map((p) => ({ ...p, number: p.port }))),
      endpoints: parseEndpoints(shards, hostname, Attributes.Namespace),
    })
  }
  return registry
}

function parseEndpoints(shards: ShardsAnswer, host: string, namespace: string): Map<string, Endpoint> {
  const endpoints = new Map<string, Endpoint>()
  for (const shard of Object.values(shards[host]?.[namespace]?.Shards ?? {})) {
    for (const endpoint of shard ?? []) {
      endpoints.set(`${endpoint.Addresses?.[0] ?? ''}|${endpoint.ServicePortName}`, {
        workload: endpoint.WorkloadName,
        port: endpoint.EndpointPort,
        identity: endpoint.ServiceAccount,
        network: endpoint.Network,
        locality: endpoint.Locality.Label,
        labels: endpoint.Labels ?? {},
      })
    }
  }
  return endpoints
}

/** Every difference between what should be and what is; none means that istiod serves what is written. */
export function registryDifferences(
  objects: readonly IstioObject[],
  expected: Registry,
  actual: Registry,
): readonly Difference[] {
  const written = new Map(objects.map((object) => [refText(refOf(object)), refOf(object)]))
  const found: Difference[] = []
  const add = (about: ObjectRef, fallback: ObjectRef | undefined, text: string) =>
    found.push({ about, nudge: written.get(refText(about)) ?? fallback, text })

  for (const key of new Set([...expected.keys(), ...actual.keys()])) {
    const [want, have] = [expected.get(key), actual.get(key)]
    const [namespace = '', name = ''] = key.split('/')
    const service: ObjectRef = { kind: 'ServiceEntry', name, namespace }
    if (want === undefined) add(service, undefined, `service ${key} should be gone`)
    else if (have === undefined) add(service, undefined, `service ${key} is missing`)
    else {
      if (want.addresses !== have.addresses || want.ports !== have.ports) {
        add(service, undefined, `service ${key} has other ports or other addresses`)
      }
      for (const { workload, text } of endpointDifferences(want.endpoints, have.endpoints)) {
        // An endpoint whose entry is gone can only be moved by its service.
        add({ kind: 'WorkloadEntry', name: workload, namespace }, service, `${key}: ${text}`)
      }
    }
  }
  return found
}

function endpointDifferences(
  expected: Service['endpoints'],
  actual: Service['endpoints'],
): { readonly workload: string; readonly text: string }[] {
  const found: { workload: string; text: string }[] = []
  for (const [key, want] of expected) {
    const have = actual.get(key)
    if (have === undefined) found.push({ workload: want.workload, text: `endpoint ${key} is missing` })
    else if (!sameEndpoint(want, have))
      found.push({ workload: want.workload, text: `endpoint ${key} is old` })
  }
  for (const [key, have] of actual) {
    if (!expected.has(key)) found.push({ workload: have.workload, text: `endpoint ${key} should be closed` })
  }
  return found
}

/** istiod adds labels of its own (topology, the entry's metadata). */
function sameEndpoint(want: Endpoint, have: Endpoint): boolean {
  return (
    want.workload === have.workload &&
    want.port === have.port &&
    want.identity === have.identity &&
    want.network === have.network &&
    want.locality === have.locality &&
    Object.entries(want.labels).every(([key, value]) => have.labels[key] === value)
  )
}

const ConfigAnswer = Type.Array(
  Type.Object({
    kind: Text,
    metadata: Type.Object({
      name: Text,
      namespace: Type.Optional(Text),
      annotations: Type.Optional(Type.Record(Text, Text)),
    }),
  }),
)

const configAnswer = Compile(ConfigAnswer)

/** The revision of each object in istiod's `/debug/configz`, by `refText`. */
export function parseRevisions(answer: unknown, annotation: string): ReadonlyMap<string, string> {
  if (!configAnswer.Check(answer)) {
    throw new MooringError('MESH_UNAVAILABLE', { detail: "istiod's configuration has an unknown form" })
  }
  const revisions = new Map<string, string>()
  for (const { kind, metadata } of answer) {
    const ref = { kind: kind as ObjectRef['kind'], name: metadata.name, namespace: metadata.namespace ?? '' }
    revisions.set(refText(ref), metadata.annotations?.[annotation] ?? '')
  }
  return revisions
}
