/**
 * The contract between agent and controller, in the order in which it is spoken:
 *
 *  1. agent → controller  GET  /v1/challenge            → `Challenge`
 *  2. agent → controller  POST /v1/join `JoinRequest`   → `JoinResponse` (certificate and bundle)
 *                         a lost answer is repeated with the same key and gives the same VM
 *  3. agent → controller  GET  /v1/sidecar/<sha256>     → the sidecar archive, with Range (mTLS)
 *  4. agent ⇄ controller  WSS  /v1/stream               (mTLS, one per VM; the newest wins)
 *     4a  agent → `hello`        controller → `welcome`
 *     4b  agent → `heartbeat` every `welcome.heartbeatMs`; `status` whenever something changed
 *     4c  controller → `refresh` when the bundle changed; the agent then does 5
 *         (or a part of it: an agent whose running sidecar must be started anew for it says so in `status`;
 *         controller → `restart` when its turn has come and its endpoint is closed)
 *     4d  controller → `drain` when its endpoint is closed to new requests (desired state: sent again
 *         after every `welcome` until `drained`); agent → `drained`
 *     4e  agent → `drain-request` when the wish comes from the VM (shutdown, `mooring-agent leave`)
 *     4f  agent → `left` when sidecar and capture are gone; controller → `bye` when the entry is
 *  5. agent → controller  GET  /v1/bundle               → `Bundle` with a fresh token (mTLS)
 *  6. agent → controller  steps 1 and 2 with method `renew`, before the certificate ends or after a pause
 *
 * A reader ignores object keys it does not know: this is what lets versions differ by one release.
 */
import { Type } from 'typebox'

/** Version of the wire contract. Raised when an old reader would misunderstand; see `compatibleWire`. */
export const wireVersion = 1

/** Agent and controller talk when they are at most one version apart. */
export function compatibleWire(other: number): boolean {
  return Math.abs(other - wireVersion) <= 1
}

/** Every path of the agent's side of the interface. */
export const paths = {
  challenge: '/v1/challenge',
  join: '/v1/join',
  stream: '/v1/stream',
  bundle: '/v1/bundle',
  sidecar: (sha256: string) => `/v1/sidecar/${sha256}`,
} as const

/** Largest bodies and messages, in bytes; larger ones are refused before they are parsed. */
export const limits = {
  join: 32 * 1024,
  operator: 256 * 1024,
  streamMessage: 64 * 1024,
  response: 512 * 1024,
} as const

/** DNS label as of RFC 1123: names of pools, namespaces, service accounts, VMs. */
export const Name = Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' })
export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** IPv4 or IPv6 address in text; judged by node:net, the schema only bounds it. */
export const Address = Type.String({ minLength: 2, maxLength: 45, pattern: '^[0-9a-fA-F:.]+$' })
export const Cidr = Type.String({ minLength: 4, maxLength: 49, pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' })
export const Port = Type.Integer({ minimum: 1, maximum: 65535 })
export const Text = Type.String({ maxLength: 1024 })
/** Unix milliseconds. */
export const Time = Type.Integer({ minimum: 0 })
export const Seconds = (minimum: number, maximum: number) => Type.Number({ minimum, maximum })

/**
 * Every path of the operators' side; all need `Authorization: Bearer` but `enrol`. Errors are problem+json.
 *
 *   POST   /v1/enrol                  Enrol → OperatorCreated          (no credential; one-time code)
 *   GET    /v1/whoami                 → WhoAmI
 *   GET    /v1/operators              → OperatorView[]                 admin
 *   POST   /v1/operators              OperatorCreate → OperatorCreated admin
 *   DELETE /v1/operators/:name        → 204                            admin
 *   GET    /v1/pools                  → PoolView[]                     viewer
 *   GET    /v1/pools/:name            → PoolView                       viewer
 *   PUT    /v1/pools/:name            PoolSpec → PoolView              admin of that pool
 *   DELETE /v1/pools/:name            → 204 (409 while it has VMs)     admin of that pool
 *   GET    /v1/tokens?pool=           → TokenView[]                    operator
 *   POST   /v1/tokens                 TokenCreate → TokenCreated       operator of that pool
 *   DELETE /v1/tokens/:id             → 204                            operator
 *   GET    /v1/vms?pool=              → VmView[]                       viewer
 *   GET    /v1/vms/events?pool=       → text/event-stream of VmView: all that exist, then each change
 *                                       (`event: vm`), `event: gone` with {id}, comment line every 10 s
 *   GET    /v1/vms/:id                → VmView                         viewer
 *   GET    /v1/vms/:id/explanation    → VmExplanation                  viewer
 *   POST   /v1/vms/:id/drain          DrainCreate → 202 VmView         operator
 *   DELETE /v1/vms/:id?now=           → 202 VmView                     operator
 *   GET    /v1/artifacts              → ArtifactView[]                 viewer of all pools
 *   PUT    /v1/artifacts/:sha256?…    a piece → ArtifactReceived       admin of all pools
 *   DELETE /v1/artifacts/:sha256      → 204                            admin of all pools
 *   POST   /v1/injections             InjectionCreate → 202 InjectionView   operator of that pool
 *   GET    /v1/injections             → InjectionView[]                viewer
 *   GET    /v1/injections/:id         → InjectionView                  viewer
 *   GET    /v1/audit                  AuditQuery → AuditRecord[]       admin
 *   GET    /healthz /readyz /metrics /openapi.json                     (no credential; /metrics: viewer)
 */
export const operatorPaths = { base: '/v1', enrol: '/v1/enrol', events: '/v1/vms/events' } as const
