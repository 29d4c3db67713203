import type { Down } from '../../shared/api/stream.ts'
import { wireVersion } from '../../shared/api/wire.ts'
import { hasEndpoint, hasEntry, type Phase } from '../../shared/lifecycle.ts'
import type { IstioObject, ObjectRef } from '../mesh/mesh.ts'
import {
  canonical,
  type EndpointHealth,
  evictionPolicy,
  refOf,
  sameObject,
  workloadEntry,
} from '../mesh/objects.ts'
import type { DesiredDrain, VmRecord } from '../store/records.ts'
import { conditionsOf, type EntryFinding } from './findings.ts'
import { drainForcedAt, isDrained, isRestarted, isUpdated, phaseNow, wantedDrain } from './phase.ts'
import { drainKey, printable } from './session.ts'
import type { Held, Situation } from './situation.ts'
import { drainDeadline } from './terms.ts'

/** One thing to do. The order of a plan's actions is part of the plan. */
export type Action =
  /** `stale`: the entry of another VM, at an address that is this one's now. */
  | { readonly do: 'remove-entry'; readonly ref: ObjectRef; readonly stale: boolean }
  | { readonly do: 'apply-entry'; readonly object: IstioObject }
  | { readonly do: 'apply-eviction'; readonly object: IstioObject }
  | { readonly do: 'lift-eviction'; readonly ref: ObjectRef }
  | { readonly do: 'write'; readonly record: VmRecord }
  /** Its record is of no further use. */
  | { readonly do: 'forget' }
  /** Peers must have heard that the endpoint is closed before the next action. */
  | { readonly do: 'await-taken'; readonly ref: ObjectRef }
  | { readonly do: 'send'; readonly message: Down }
  /** Its entry is gone: `bye`, and what its stream said is forgotten. */
  | { readonly do: 'farewell'; readonly revoked: boolean }

export interface Plan {
  readonly actions: readonly Action[]
  /** When to plan again although nothing happened. */
  readonly wakeAt?: number
}

/**
 * What is to be done for one VM. Pure; repeated until it has no actions.
 *
 * @remarks The order keeps two promises through a crash between any two actions: no phase but `ready` has an
 * open entry, so closing comes before the record says it and opening after; and nobody is forgotten, so a VM
 * that left has no entry any more when the record says so.
 */
export function plan(situation: Situation): Plan {
  const phase = phaseNow(situation)
  const entry = wantedEntry(situation, phase)
  const before = [...makeRoom(situation, phase), ...evict(situation, phase), ...close(situation, entry)]
  const open = entry !== undefined && hasEndpoint(phase) && !isHeld(situation.entry, entry)
  const found = entry === undefined ? 'none' : open && !isOpen(situation.entry) ? 'to-open' : 'as-wanted'
  const record = wantedRecord(situation, phase, found)
  const write: Action[] = changed(situation.record, record) ? [{ do: 'write', record }] : []
  const after: Action[] = open ? [{ do: 'apply-entry', object: entry }] : []
  const actions = [...before, ...write, ...after, ...speak(situation, phase, record, entry)]
  if (actions.length === 0 && mayForget(situation)) return { actions: [{ do: 'forget' }] }
  const wakeAt = nextLook(situation, record)
  return { actions, ...(wakeAt !== undefined && { wakeAt }) }
}

/** The WorkloadEntry that a VM of this record should have, or undefined when it should have none. */
export function wantedEntry(
  situation: Pick<Situation, 'vm' | 'record' | 'pool' | 'network' | 'addressOwner'>,
  phase: Phase = situation.record.phase,
): IstioObject | undefined {
  const { vm, record, pool, network, addressOwner } = situation
  if (!hasEntry(phase) || pool === undefined || addressOwner !== vm) return undefined
  return workloadEntry({ vm, record, pool, poolName: record.pool, network, health: healthFor(phase) })
}

/** Whether this record wants its address denied to the mesh. */
export function wantsEviction(situation: Pick<Situation, 'vm' | 'record' | 'addressOwner' | 'now'>): boolean {
  const { vm, record, addressOwner, now } = situation
  return (
    record.phase === 'left' &&
    record.revoked !== undefined &&
    now < record.revoked.evictUntil &&
    addressOwner === vm
  )
}

function healthFor(phase: Phase): EndpointHealth {
  if (hasEndpoint(phase)) return 'open'
  return phase === 'joining' || phase === 'joined' ? 'none' : 'closed'
}

function makeRoom(situation: Situation, phase: Phase): Action[] {
  const actions: Action[] = situation.strays.map((ref) => ({ do: 'remove-entry', ref, stale: false }))
  if (!hasEntry(phase) || situation.addressOwner !== situation.vm) return actions
  for (const ref of situation.rivals) actions.push({ do: 'remove-entry', ref, stale: true })
  for (const ref of situation.foreignEvictions) actions.push({ do: 'lift-eviction', ref })
  return actions
}

function evict(situation: Situation, phase: Phase): Action[] {
  const { vm, record, eviction } = situation
  const object = evictionPolicy(vm, record)
  // Denied before its entry is gone, so that there is no moment in which it is neither.
  if (wantsEviction({ ...situation, record: { ...record, phase } })) {
    return isHeld(eviction, object) ? [] : [{ do: 'apply-eviction', object }]
  }
  return eviction === undefined ? [] : [{ do: 'lift-eviction', ref: refOf(object) }]
}

function close(situation: Situation, entry: IstioObject | undefined): Action[] {
  const { vm, record, pool, entry: held } = situation
  if (entry !== undefined) {
    return healthOf(entry) === 'open' || isHeld(held, entry) ? [] : [{ do: 'apply-entry', object: entry }]
  }
  if (held === undefined || pool === undefined) return []
  const named = workloadEntry({ vm, record, pool, poolName: record.pool, health: 'none' })
  return [{ do: 'remove-entry', ref: refOf(named), stale: false }]
}

/** What peers may know of a written entry. */
export function healthOf(entry: IstioObject): EndpointHealth {
  const { conditions } = (entry.status ?? {}) as { conditions?: { type?: unknown; status?: unknown }[] }
  const health = conditions?.find((c) => c.type === 'Healthy')?.status
  if (health === undefined) return 'none'
  return health === 'True' ? 'open' : 'closed'
}

function isOpen(held: Held): boolean {
  return held !== undefined && held !== 'unknown' && healthOf(held) === 'open'
}

function isHeld(held: Held, wanted: IstioObject): boolean {
  return held !== undefined && held !== 'unknown' && sameObject(held, wanted)
}

function wantedRecord(situation: Situation, phase: Phase, entry: EntryFinding): VmRecord {
  const { record, session, hearing, terms, revision, trust, instance, now } = situation
  const { drain: _, restartPending: __, sidecarVersion, update, restart, ...rest } = record
  const { revoked } = record
  const status = session?.status
  const drain: DesiredDrain | undefined = hasEntry(phase) ? wantedDrain(situation) : undefined
  const sidecar = status?.sidecarVersion ?? sidecarVersion
  return {
    ...rest,
    phase,
    phaseSince: phase === record.phase ? record.phaseSince : now,
    health: hearing.state === 'vanished' ? 'unknown' : (status?.health ?? record.health),
    conditions: conditionsOf({ situation, phase, entry }),
    ...(drain !== undefined && { drain }),
    ...(update !== undefined && hasEntry(phase) && !isUpdated(situation) && { update }),
    ...(restart !== undefined && hasEntry(phase) && !isRestarted(situation) && { restart }),
    // It could renew its workload certificate until it left.
    ...(revoked !== undefined &&
      phase !== record.phase && {
        revoked: { ...revoked, evictUntil: Math.max(revoked.evictUntil, now + terms.certificateTtlMs) },
      }),
    ...(session?.state === 'greeting' &&
      hasEntry(phase) && { stream: { owner: instance, epoch: nextEpoch(record), since: now } }),
    lastSeenAt: Math.max(record.lastSeenAt, hearing.lastHeard),
    ...(session !== undefined && { agentVersion: printable(session.agentVersion), bootId: session.bootId }),
    ...(sidecar !== undefined && { sidecarVersion: printable(sidecar) }),
    sidecarRestarts: status?.sidecarRestarts ?? record.sidecarRestarts,
    // Absent from what it says, it waits for nothing.
    ...((status ?? record).restartPending === true && hasEntry(phase) && { restartPending: true }),
    bundleRevision: status?.bundleRevision ?? record.bundleRevision,
    ...(status?.bundleRevision === revision && revision !== '' && { trust }),
    facts: session?.facts ?? record.facts,
  }
}

/** Whether a write is worth it; the time of the last heartbeat alone is not. */
function changed(old: VmRecord, wanted: VmRecord): boolean {
  const keys = new Set([...Object.keys(old), ...Object.keys(wanted)]) as Set<keyof VmRecord>
  for (const key of keys) {
    if (key === 'lastSeenAt' || old[key] === wanted[key]) continue
    if (canonical(old[key]) !== canonical(wanted[key])) return true
  }
  return false
}

function nextEpoch(record: VmRecord): number {
  return (record.stream?.epoch ?? 0) + 1
}

function speak(
  situation: Situation,
  phase: Phase,
  record: VmRecord,
  entry: IstioObject | undefined,
): Action[] {
  const { session, terms, revision, now } = situation
  if (session === undefined) return []
  if (!hasEntry(phase)) return [{ do: 'farewell', revoked: record.revoked !== undefined }]
  if (session.state === 'closed') return []
  if (session.state === 'greeting') {
    const message: Down = {
      kind: 'welcome',
      wire: wireVersion,
      epoch: record.stream?.epoch ?? 1,
      heartbeatMs: terms.heartbeatMs,
      lostAfterMs: terms.lostAfterMs,
      bundleRevision: revision,
      pacesRestarts: true,
      session: session.name,
      now,
    }
    return [{ do: 'send', message }]
  }
  if (phase === 'draining') return tellDrain(situation, entry)
  if (mustRestart(situation)) return tellRestart(situation, entry)
  const isStale = session.status.bundleRevision !== revision && session.revisionTold !== revision
  return isStale ? [{ do: 'send', message: { kind: 'refresh', bundleRevision: revision } }] : []
}

/** The drain command; only once the record says `draining`, so that two that drain at once see each other. */
function tellDrain(situation: Situation, entry: IstioObject | undefined): Action[] {
  const { record, session, terms, now } = situation
  const { drain } = record
  if (record.phase !== 'draining' || drain === undefined) return []
  if (session?.drainTold === drainKey(drain)) return []
  // Until it left, an agent that restarted in between is told again.
  if (isDrained(situation) && drain.after === 'hold') return []
  const message: Down = {
    kind: 'drain',
    reason: drain.reason,
    after: drain.after,
    deadlineMs: Math.max(0, drainDeadline(drain, record.phaseSince, terms) - now),
    quietMs: terms.quietMs,
    lastEndpoint: isLastEndpoint(situation),
  }
  const wait: Action[] = entry === undefined ? [] : [{ do: 'await-taken', ref: refOf(entry) }]
  return [...wait, { do: 'send', message }]
}

function mustRestart({ record, session }: Situation): boolean {
  return (
    record.restart !== undefined &&
    record.phase !== 'ready' &&
    session?.status.restartPending === true &&
    session.restartTold !== true
  )
}

/** Once the record says that the endpoint is closed, and peers have heard. */
function tellRestart(situation: Situation, entry: IstioObject | undefined): Action[] {
  const { terms } = situation
  const message: Down = {
    kind: 'restart',
    deadlineMs: terms.drainDeadlineMs,
    // Where nobody else serves, every moment of waiting is one of failing.
    quietMs: isLastEndpoint(situation) ? 0 : terms.quietMs,
  }
  const wait: Action[] = entry === undefined ? [] : [{ do: 'await-taken', ref: refOf(entry) }]
  return [...wait, { do: 'send', message }]
}

/** Whether nobody else serves what this VM serves. */
export function isLastEndpoint({ pool, otherEndpoints }: Situation): boolean {
  return pool?.spec.service !== undefined && otherEndpoints === 0
}

function nextLook(situation: Situation, record: VmRecord): number | undefined {
  const { hearing, terms, now } = situation
  const times: number[] = []
  if (record.phase === 'lost' && hearing.state === 'vanished') times.push(record.phaseSince + terms.graceMs)
  const forcedAt = drainForcedAt({ ...situation, record })
  if (forcedAt !== undefined) times.push(forcedAt)
  if (record.phase === 'left') {
    if (record.revoked !== undefined) times.push(record.revoked.evictUntil)
    times.push(forgetAt(situation))
  }
  const ahead = times.filter((at) => at > now)
  return ahead.length === 0 ? undefined : Math.min(...ahead)
}

/** Until when a VM that left could come back by its key, or its key must be known as revoked. */
function forgetAt({ record, terms }: Situation): number {
  return Math.max(
    record.phaseSince + terms.renewWithinMs,
    record.certificateExpiresAt,
    record.revoked?.evictUntil ?? 0,
  )
}

function mayForget(situation: Situation): boolean {
  const { record, entry, eviction, now } = situation
  const isClean = entry === undefined && eviction === undefined
  return record.phase === 'left' && isClean && now >= forgetAt(situation)
}
