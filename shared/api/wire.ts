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
