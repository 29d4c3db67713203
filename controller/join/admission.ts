import { isIPv6 } from 'node:net'
import type { JoinFacts, JoinMethodName } from '../../shared/api/join.ts'
import { withCondition } from '../../shared/conditions.ts'
import { hasEntry, next } from '../../shared/lifecycle.ts'
import { dualStackSwitch } from '../mesh/dual-stack.ts'
import { effectivePool } from '../mesh/pool-defaults.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { Stored, Write } from '../store/resource-store.ts'
import { type AddressChoice, chooseAddress, isInside } from './address.ts'
import { judgeClone } from './clone.ts'
import type { Refusal } from './refusal.ts'
import { isKnownKey, judgeRenew } from './renew.ts'
import { isKnownToken, judgeToken, usedToken } from './token.ts'

/** All that an admission is decided from. The key is proven, the request well-formed; nothing else is certain. */
export interface AdmissionQuestion {
  readonly now: number
  /** Canonical address of the other end of the connection. */
  readonly peer: string
  readonly pool: string
  readonly facts: JoinFacts
  readonly evidence:
    | { readonly method: 'token'; readonly stored: Stored<'token'> | undefined; readonly hash: string }
    | { readonly method: 'renew'; readonly claimed: string }
  /** SHA-256 of the joiner's key, and the VM id made from it. */
  readonly key: string
  readonly vm: string
  readonly pools: ReadonlyMap<string, PoolRecord>
  /** Network of the pools that name none. */
  readonly network: string
  readonly own: Stored<'vm'> | undefined
  /** The stream of the VM with this key. */
  readonly stream: {
    readonly connected: boolean
    readonly lastHeard: number
    /** How long the controller has listened since then. */
    readonly listenedMs: number
    /** The joiner knows its name: it is the other end of it. */
    readonly isOwn: boolean
  }
  readonly suspectedSince: number | undefined
  /** VMs with other keys, at least those at an address that the joiner may get. */
  readonly others: readonly Stored<'vm'>[]
  readonly isLive: (vm: string) => boolean
  readonly certificateMs: number
  /** Pin of the authority that will sign it. */
  readonly certificateIssuer: string
  /** Whether sidecars of this mesh capture and serve IPv6. */
  readonly dualStack: boolean
  /** Longest time that a workload certificate got by a token given now can last. */
  readonly workloadMs: number
}

export interface Admitted {
  readonly record: VmRecord
  /** The evidence before what it admits. */
  readonly writes: readonly Write[]
  /** VMs that lose their address to this one. */
  readonly evicted: readonly string[]
}

export type Admission =
  | { readonly admitted: Admitted }
  | { readonly refused: Refusal; readonly suspicion?: 'new' | 'confirmed' }

/** How long a VM that was admitted may take until its stream opens, before its address counts as free. */
const connectMs = 15_000

/**
 * Whether a joiner becomes a VM of the pool, default deny. Evidence is judged before anything is said of a
 * pool: without a real token or a known key every pool, existing or not, answers alike.
 */
export function decideAdmission(question: AdmissionQuestion): Admission {
  const pool = question.pools.get(question.pool)
  const refused = judgeEvidence(question, pool)
  if (refused !== undefined) return { refused }
  if (pool === undefined) return { refused: { code: 'POOL_UNKNOWN' } }
  const unwelcome = judgePool(question, pool)
  if (unwelcome !== undefined) return { refused: unwelcome }
  const choice = addressOf(question, pool)
  if (!('address' in choice)) return { refused: choice }
  if (isIPv6(choice.address) && !question.dualStack) {
    const detail = `${choice.address} is IPv6, and this mesh is of IPv4 alone: set ${dualStackSwitch} for istiod and sidecars`
    return { refused: { code: 'ADDRESS_NOT_ALLOWED', detail } }
  }
  return judgeIdentity(question, pool, choice) ?? judgeAddress(question, pool, choice.address)
}

/**
 * The workload's address. A machine with several may connect from another one each time: as long as its stream
 * is open, one that the pool takes from the connection stays what it was.
 */
function addressOf({ own, stream, peer, facts }: AdmissionQuestion, { spec }: PoolRecord): AddressChoice {
  const choice = chooseAddress({ spec, peer, nics: facts.nics })
  const isFromPeer = spec.address?.interface === undefined && spec.address?.cidr === undefined
  const kept = own?.value.address
  if (!('address' in choice) || !stream.isOwn || !isFromPeer || kept === undefined) return choice
  return isInside(kept, spec.join.cidrs) ? { ...choice, address: kept } : choice
}

function judgeEvidence(question: AdmissionQuestion, pool: PoolRecord | undefined): Refusal | undefined {
  const { evidence, key, own, now, stream } = question
  // Also with a fresh token: a key that was revoked once is never good again.
  const revoked: Refusal | undefined = own?.value.revoked && { code: 'KEY_REVOKED' }
  if (evidence.method === 'token') {
    const token = { stored: evidence.stored, hash: evidence.hash, pool: question.pool, key, now }
    return isKnownToken(token) ? (revoked ?? judgeToken(token)) : { code: 'TOKEN_INVALID' }
  }
  const renewWithinSeconds = pool === undefined ? 0 : effectivePool(pool.spec).renewWithinSeconds
  const renewal = {
    own,
    claimed: evidence.claimed,
    pool: question.pool,
    lastHeard: stream.lastHeard,
    renewWithinSeconds,
    now,
  }
  if (!isKnownKey(renewal)) return { code: 'KEY_UNKNOWN' }
  return revoked ?? (pool === undefined ? undefined : judgeRenew(renewal))
}

function judgePool(question: AdmissionQuestion, { spec }: PoolRecord): Refusal | undefined {
  const { method } = question.evidence
  if (!(spec.join.methods as readonly JoinMethodName[]).includes(method)) {
    return { code: 'METHOD_NOT_ALLOWED_BY_POOL', detail: method }
  }
  if (!isInside(question.peer, spec.join.cidrs)) return { code: 'ADDRESS_NOT_ALLOWED', detail: question.peer }
  return undefined
}

/** Two machines with one key. */
function judgeIdentity(
  question: AdmissionQuestion,
  pool: PoolRecord,
  choice: Extract<AddressChoice, { address: string }>,
): Admission | undefined {
  const { own, facts, stream, suspectedSince } = question
  if (own === undefined) return undefined
  if (own.value.keyThumbprint !== question.key) {
    // Ids are 80 bits of the thumbprint: this is a forgery of an id, not an accident.
    return { refused: { code: 'CLONE_DETECTED', detail: 'another key has this id' }, suspicion: 'confirmed' }
  }
  const heartbeatMs = effectivePool(pool.spec).liveness.heartbeatSeconds * 1000
  const isSamePlace = own.value.address === choice.address || stream.isOwn
  const isSameMachine = own.value.bootId === facts.bootId && isSamePlace
  switch (judgeClone({ isSameMachine, ...stream, heartbeatMs, suspectedSince })) {
    case 'same':
      return undefined
    case 'clone':
      return { refused: { code: 'CLONE_DETECTED' }, suspicion: 'confirmed' }
    case 'wait':
      return {
        refused: {
          code: 'UNAVAILABLE',
          detail: 'the stream of this VM is still open from elsewhere; it is watched until it ends or speaks',
          retryAfterSeconds: Math.ceil((heartbeatMs * 2) / 1000),
        },
        suspicion: 'new',
      }
  }
}

/** One address is one VM's. The newcomer gets that of a VM that is gone, not that of a live one. */
function judgeAddress(question: AdmissionQuestion, pool: PoolRecord, address: string): Admission {
  const { others, isLive, now } = question
  const network = networkOf(question, pool)
  const evicted: Stored<'vm'>[] = []
  for (const other of others) {
    const { value } = other
    if (value.address !== address || !hasEntry(value.phase)) continue
    if (networkOf(question, question.pools.get(value.pool)) !== network) continue
    const isConnecting = value.phase === 'joining' && now - value.admittedAt < connectMs
    if (value.phase !== 'lost' && (isConnecting || isLive(other.name))) {
      return { refused: { code: 'ADDRESS_TAKEN', detail: address, retryAfterSeconds: 5 } }
    }
    evicted.push(other)
  }
  return { admitted: admit(question, address, evicted) }
}

function networkOf(question: AdmissionQuestion, pool: PoolRecord | undefined): string {
  return (pool === undefined ? undefined : effectivePool(pool.spec).network) ?? question.network
}

function admit(question: AdmissionQuestion, address: string, evicted: readonly Stored<'vm'>[]): Admitted {
  const { evidence, key, own, vm, now } = question
  const writes: Write[] = []
  if (evidence.method === 'token' && evidence.stored !== undefined) {
    const { name, version, value } = evidence.stored
    const used = usedToken(value, key)
    if (used !== value) writes.push({ put: 'token', name, version, value: used })
  }
  for (const { name, version, value } of evicted) {
    const phase = next(value.phase, 'leave')
    writes.push({ put: 'vm', name, version, value: { ...value, phase, phaseSince: now } })
  }
  const record =
    own === undefined ? firstRecord(question, address) : returnedRecord(question, own.value, address)
  writes.push({ put: 'vm', name: vm, value: record, ...(own && { version: own.version }) })
  return { record, writes, evicted: evicted.map((e) => e.name) }
}

/** What every admission says anew. */
function admission(question: AdmissionQuestion, address: string) {
  const { facts, evidence, key, now, pool } = question
  return {
    pool,
    method: evidence.method,
    keyThumbprint: key,
    address,
    hostname: facts.hostname,
    arch: facts.arch,
    nics: facts.nics.map(({ interface: name, address, prefix }) => ({ interface: name, address, prefix })),
    bootId: facts.bootId,
    agentVersion: facts.agentVersion,
    admittedAt: now,
    lastSeenAt: now,
    certificateExpiresAt: now + question.certificateMs,
    certificateIssuer: question.certificateIssuer,
  }
}

function admittedCondition(question: AdmissionQuestion) {
  const { method } = question.evidence
  return { type: 'Admitted', status: 'True', reason: 'Admitted', message: `by ${method}` } as const
}

function firstRecord(question: AdmissionQuestion, address: string): VmRecord {
  const { now } = question
  return {
    ...admission(question, address),
    createdAt: now,
    phase: next('announced', 'admit'),
    phaseSince: now,
    health: 'unknown',
    conditions: withCondition([], admittedCondition(question), now),
    workloadCertificateUntil: now + question.workloadMs,
    sidecarRestarts: 0,
    bundleRevision: '',
    facts: {},
  }
}

/** A renewal leaves a serving VM as it is; a new boot, or a new address, starts with a closed endpoint. */
function returnedRecord(question: AdmissionQuestion, own: VmRecord, address: string): VmRecord {
  const { now, facts } = question
  const isNewLife = own.phase === 'left'
  const isElsewhere = own.pool !== question.pool || own.address !== address
  const isRestart = isNewLife || isElsewhere || own.bootId !== facts.bootId
  const phase = isRestart && own.phase === 'ready' ? next(own.phase, 'unhealthy') : next(own.phase, 'admit')
  const { drain, artifact, update, restart, ...kept } = own
  return {
    ...kept,
    // Who comes anew gets what is offered now.
    ...(!isNewLife && {
      ...(artifact && { artifact }),
      ...(update && { update }),
      ...(restart && { restart }),
    }),
    ...admission(question, address),
    ...(drain !== undefined && !isNewLife && { drain }),
    phase,
    phaseSince: phase === own.phase ? own.phaseSince : now,
    health: isRestart ? 'unknown' : own.health,
    conditions: withCondition(isNewLife ? [] : own.conditions, admittedCondition(question), now),
    workloadCertificateUntil: Math.max(own.workloadCertificateUntil, now + question.workloadMs),
  }
}
