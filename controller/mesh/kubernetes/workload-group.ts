import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Probe } from '../../../shared/api/bundle.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'

const Texts = Type.Record(Type.String({ maxLength: 317 }), Type.String({ maxLength: 63 }))
const PortNumber = Type.Integer({ minimum: 1, maximum: 65_535 })
const Whole = Type.Integer({ minimum: 0 })

/** What is read of a WorkloadGroup (istio.io/api networking/v1, workload_group.proto). */
export const GroupSpec = Type.Object({
  metadata: Type.Optional(Type.Object({ labels: Type.Optional(Texts) })),
  template: Type.Optional(
    Type.Object({
      ports: Type.Optional(Type.Record(Type.String({ maxLength: 63 }), PortNumber)),
      labels: Type.Optional(Texts),
      network: Type.Optional(Type.String({ maxLength: 253 })),
      locality: Type.Optional(Type.String({ maxLength: 253 })),
    }),
  ),
  probe: Type.Optional(
    Type.Object({
      periodSeconds: Type.Optional(Whole),
      timeoutSeconds: Type.Optional(Whole),
      successThreshold: Type.Optional(Whole),
      failureThreshold: Type.Optional(Whole),
      httpGet: Type.Optional(Type.Object({ path: Type.Optional(Type.String()), port: PortNumber })),
      tcpSocket: Type.Optional(Type.Object({ port: PortNumber })),
      grpc: Type.Optional(Type.Object({ port: PortNumber, service: Type.Optional(Type.String()) })),
      exec: Type.Optional(Type.Object({ command: Type.Array(Type.String(), { minItems: 1 }) })),
    }),
  ),
})
export type GroupSpec = Static<typeof GroupSpec>

/** The group's spec, or undefined when it is none that can be followed. */
export function readGroup(spec: unknown): GroupSpec | undefined {
  return Value.Check(GroupSpec, spec) ? spec : undefined
}

/** The pool with what its WorkloadGroup says where the pool itself says nothing. */
export function withGroup(spec: PoolSpec, group: GroupSpec): PoolSpec {
  const { template = {} } = group
  const labels = { ...group.metadata?.labels, ...template.labels, ...spec.labels }
  const probe = spec.probe ?? probeOf(group)
  const locality = spec.locality ?? template.locality
  const network = spec.address?.network ?? template.network
  return {
    ...spec,
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(locality && { locality }),
    ...(network && { address: { ...spec.address, network } }),
    ...(probe && { probe }),
    ...(spec.service && { service: { ...spec.service, ports: portsOf(spec.service, template.ports) } }),
  }
}

/** A port of the pool without a target listens where the group says. */
function portsOf(
  { ports }: NonNullable<PoolSpec['service']>,
  targets: Readonly<Record<string, number>> = {},
) {
  return ports.map((port) => {
    const target = port.target ?? targets[port.name]
    return target === undefined ? port : { ...port, target }
  })
}

function probeOf({ probe }: GroupSpec): Probe | undefined {
  if (probe === undefined) return undefined
  const { httpGet, tcpSocket, grpc, exec } = probe
  const times = {
    // Zero is Istio's word for its default (istio pkg/workloadapi health checks: 10 s, 1 s, 1, 1).
    periodSeconds: probe.periodSeconds || 10,
    timeoutSeconds: probe.timeoutSeconds || 1,
    successes: probe.successThreshold || 1,
    failures: probe.failureThreshold || 1,
  }
  if (httpGet) return { ...times, http: { path: httpGet.path || '/', port: httpGet.port } }
  if (tcpSocket) return { ...times, tcp: { port: tcpSocket.port } }
  if (grpc) return { ...times, grpc: { port: grpc.port, ...(grpc.service && { service: grpc.service }) } }
  return exec && { ...times, exec: { command: exec.command } }
}
