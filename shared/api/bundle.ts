import { type Static, Type } from 'typebox'
import { Address, Cidr, Name, Port, Seconds, Sha256, Time } from './wire.ts'

/** How Envoy treats a port; Istio's names of protocols. */
export const protocols = ['HTTP', 'HTTP2', 'GRPC', 'TCP', 'TLS'] as const
export const Protocol = Type.Enum(protocols)

/** A port on which the application listens. `number` is the mesh's port, `target` the application's. */
export const WorkloadPort = Type.Object({
  name: Name,
  number: Port,
  target: Type.Optional(Port),
  protocol: Protocol,
})
export type WorkloadPort = Static<typeof WorkloadPort>

/**
 * How the agent asks the application whether it is well: the first of `http`, `tcp`, `grpc` and `exec` that is there.
 * Without any of them the sidecar alone counts.
 */
export const Probe = Type.Object({
  http: Type.Optional(Type.Object({ path: Type.String({ maxLength: 512, pattern: '^/' }), port: Port })),
  tcp: Type.Optional(Type.Object({ port: Port })),
  /** Health of gRPC's own protocol, in plain text; `service` as its request names it. */
  grpc: Type.Optional(Type.Object({ port: Port, service: Type.Optional(Type.String({ maxLength: 253 })) })),
  /** A program and its arguments, run on the VM without a shell; it is well when it ends with 0. */
  exec: Type.Optional(
    Type.Object({
      command: Type.Array(Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000]+$' }), {
        minItems: 1,
        maxItems: 64,
      }),
    }),
  ),
  periodSeconds: Type.Optional(Seconds(0.1, 300)),
  timeoutSeconds: Type.Optional(Seconds(0.05, 60)),
  failures: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  successes: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
})
export type Probe = Static<typeof Probe>

/** What is captured and what is left alone; the fixed exclusions (SSH, metadata, own ports) are added by the agent. */
export const Capture = Type.Object({
  enabled: Type.Boolean(),
  dns: Type.Boolean(),
  excludeInboundPorts: Type.Array(Port, { maxItems: 64 }),
  excludeOutboundPorts: Type.Array(Port, { maxItems: 64 }),
  excludeOutboundCidrs: Type.Array(Cidr, { maxItems: 64 }),
  excludeInterfaces: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_.:@-]{1,15}$' }), { maxItems: 16 }),
  /** What happens to traffic when the sidecar is down for good. */
  whenSidecarDown: Type.Union([Type.Literal('open'), Type.Literal('closed')]),
})
export type Capture = Static<typeof Capture>

/** How the VM leaves. */
export const Drain = Type.Object({
  /** Longest time from the closing of the endpoint until open requests are cut. */
  deadlineSeconds: Seconds(0, 3600),
  /** How long no new request must have come before the VM counts as quiet. */
  quietSeconds: Seconds(0.1, 60),
})
export type Drain = Static<typeof Drain>

/** An archive (tar, gzip) of pilot-agent, Envoy and the bootstrap template for one platform. */
export const SidecarArtifact = Type.Object({
  version: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$' }),
  /** Go's names: `amd64`, `arm64`. */
  arch: Type.Union([Type.Literal('amd64'), Type.Literal('arm64')]),
  sha256: Sha256,
  /** Bytes. */
  size: Type.Integer({ minimum: 1, maximum: 2 ** 31 }),
})
export type SidecarArtifact = Static<typeof SidecarArtifact>

/** All that a VM needs to be in the mesh. The token is the only secret in it. */
export const Bundle = Type.Object({
  /** Changes when anything but the token changes. */
  revision: Type.String({ maxLength: 64 }),
  vm: Name,
  pool: Name,
  mesh: Type.Object({
    trustDomain: Type.String({ maxLength: 253 }),
    meshId: Type.String({ maxLength: 253 }),
    clusterId: Type.String({ maxLength: 253 }),
    network: Type.String({ maxLength: 253 }),
    /** `host` is the name in istiod's certificate, `address` where to connect. */
    istiod: Type.Object({
      host: Type.String({ maxLength: 253 }),
      address: Type.String({ maxLength: 253 }),
      port: Port,
    }),
    /** PEM; may hold several while the root rotates. */
    rootCertificates: Type.String({ maxLength: 65536 }),
    /** Istio's ProxyConfig, as mesh.yaml's `defaultConfig`. */
    proxyConfig: Type.Record(Type.String({ maxLength: 128 }), Type.Unknown()),
    /** Further environment of pilot-agent. */
    environment: Type.Record(
      Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,127}$' }),
      Type.String({ maxLength: 4096 }),
    ),
  }),
  workload: Type.Object({
    name: Name,
    namespace: Name,
    serviceAccount: Name,
    address: Address,
    labels: Type.Record(Type.String({ maxLength: 317 }), Type.String({ maxLength: 63 })),
    locality: Type.Optional(Type.String({ maxLength: 253 })),
    ports: Type.Array(WorkloadPort, { maxItems: 32 }),
    /** Life of the workload certificates that Envoy asks for. */
    certificateTtlSeconds: Type.Integer({ minimum: 60 }),
  }),
  token: Type.Object({ value: Type.String({ maxLength: 16384 }), expiresAt: Time }),
  capture: Capture,
  probe: Type.Optional(Probe),
  drain: Drain,
  sidecar: Type.Object({ artifacts: Type.Array(SidecarArtifact, { maxItems: 8 }) }),
})
export type Bundle = Static<typeof Bundle>
