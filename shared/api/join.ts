import { type Static, Type } from 'typebox'
import { Bundle } from './bundle.ts'
import { Address, Name, Text, Time } from './wire.ts'

/** 1. A fresh value that the joiner signs, so that a recorded join cannot be repeated by another. */
export const Challenge = Type.Object({
  nonce: Type.String({ minLength: 16, maxLength: 256, pattern: '^[A-Za-z0-9._-]+$' }),
  expiresAt: Time,
  /** The controller's clock, so that the agent can tell that its own is wrong. */
  now: Time,
  wire: Type.Integer({ minimum: 1 }),
})
export type Challenge = Static<typeof Challenge>

/** One network address of the joiner, as it sees itself; believed only as far as the pool says. */
export const Nic = Type.Object({
  interface: Type.String({ maxLength: 15 }),
  address: Address,
  prefix: Type.Integer({ minimum: 0, maximum: 128 }),
})
export type Nic = Static<typeof Nic>

/** What the joiner says of itself. Nothing in it grants anything. */
export const JoinFacts = Type.Object({
  hostname: Type.String({ maxLength: 253 }),
  /** Go's names: `amd64`, `arm64`. */
  arch: Type.String({ maxLength: 16 }),
  /** Changes at every boot: /proc/sys/kernel/random/boot_id. */
  bootId: Type.String({ maxLength: 64 }),
  agentVersion: Type.String({ maxLength: 64 }),
  nics: Type.Array(Nic, { maxItems: 64 }),
})
export type JoinFacts = Static<typeof JoinFacts>

/** Join method `token`: a shared secret made by an operator or an orchestrator. The token is a secret. */
export const TokenEvidence = Type.Object({
  method: Type.Literal('token'),
  token: Type.String({ minLength: 16, maxLength: 256 }),
})
export type TokenEvidence = Static<typeof TokenEvidence>

/** What the controller calls a stream, known to its two ends alone. A secret, held in memory and never stored. */
export const StreamSession = Type.String({ minLength: 22, maxLength: 64, pattern: '^[A-Za-z0-9_-]+$' })

/**
 * Join method `renew`: the key itself is the evidence; `JoinRequest.proof` shows it. `session` is that of the
 * joiner's own stream: by it the machine that holds the stream is told from one that has a copy of its files.
 */
export const RenewEvidence = Type.Object({
  method: Type.Literal('renew'),
  vm: Name,
  session: Type.Optional(StreamSession),
})
export type RenewEvidence = Static<typeof RenewEvidence>

export const Evidence = Type.Union([TokenEvidence, RenewEvidence])
export type Evidence = Static<typeof Evidence>
export type JoinMethodName = Evidence['method']
export const joinMethodNames = ['token', 'renew'] as const satisfies readonly JoinMethodName[]

/** 2. What the joiner sends. */
export const JoinRequest = Type.Object({
  wire: Type.Integer({ minimum: 1 }),
  pool: Name,
  evidence: Evidence,
  /** PKCS#10 (RFC 2986) in PEM, P-256; its subject is ignored. */
  csr: Type.String({ maxLength: 4096 }),
  /** Signature of `proofText(...)` with the CSR's key: ECDSA P-256, SHA-256, IEEE P1363, base64url. */
  proof: Type.Object({ nonce: Type.String({ maxLength: 256 }), signature: Type.String({ maxLength: 128 }) }),
  facts: JoinFacts,
})
export type JoinRequest = Static<typeof JoinRequest>

/** 2. What the joiner gets. */
export const JoinResponse = Type.Object({
  wire: Type.Integer({ minimum: 1 }),
  vm: Name,
  /** PEM: the agent's certificate and its issuer. */
  certificate: Type.String({ maxLength: 16384 }),
  /** PEM: what the agent trusts as the controller from now on (lets the controller's authority rotate). */
  controllerCa: Type.String({ maxLength: 32768 }),
  bundle: Bundle,
})
export type JoinResponse = Static<typeof JoinResponse>

/**
 * The text that `proof.signature` covers: bound to purpose, nonce, method, pool and the request's key.
 * `csrSha256` is the hex of SHA-256 over `JoinRequest.csr` exactly as sent (UTF-8).
 */
export function proofText(input: { nonce: string; method: string; pool: string; csrSha256: string }): string {
  return ['mooring-join-v1', input.nonce, input.method, input.pool, input.csrSha256].join('\n')
}

/** RFC 9457 problem details; `code` is in the error catalogue. */
export const Problem = Type.Object({
  type: Type.String({ maxLength: 256 }),
  title: Text,
  status: Type.Integer(),
  detail: Type.Optional(Type.String({ maxLength: 4096 })),
  code: Type.String({ maxLength: 64 }),
  fix: Type.Optional(Text),
  /** Id of the request in the controller's log. */
  instance: Type.Optional(Type.String({ maxLength: 128 })),
})
export type Problem = Static<typeof Problem>
