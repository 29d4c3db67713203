import type { Clock } from '../../shared/clock.ts'
import { withCondition } from '../../shared/conditions.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Effects } from '../effects.ts'
import { bundleRevision } from '../mesh/bundle.ts'
import type { Mesh, ObjectRef } from '../mesh/mesh.ts'
import { evictionPolicy, refOf, workloadEntry } from '../mesh/objects.ts'
import { poolFacts } from '../mesh/pool-facts.ts'
import { trustDigest } from '../pki/mesh-roots.ts'
import type { VmRecord } from '../store/records.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import type { Chronicle } from './chronicle.ts'
import { type Inventory, keyOf, placeOf } from './inventory.ts'
import { expectedSince, type Keeping } from './keeper-rules.ts'
import type { Keepings } from './keeping.ts'
import type { Lead } from './lead.ts'
import type { Liveness } from './liveness.ts'
import { type Action, isLastEndpoint, plan } from './plan.ts'
import type { Replicas } from './replicas.ts'
import type { Roster } from './roster.ts'
import { drainKey, type SessionFacts } from './session.ts'
import type { Situation } from './situation.ts'
import type { Streams } from './streams.ts'
import { termsOf } from './terms.ts'
import type { Uptake } from './uptake.ts'

/** Brings one VM to where its plan wants it; safe to repeat and to be killed in. */
export type Reconcile = (vm: string, signal: AbortSignal) => Promise<{ readonly wakeAt?: number }>

export interface ReconcileDeps {
  readonly store: ResourceStore
  readonly mesh: Mesh
  readonly clock: Clock
  readonly log: Log
  readonly effects: Effects
  readonly inventory: Inventory
  readonly roster: Roster
  readonly streams: Streams
  readonly liveness: Liveness
  readonly chronicle: Chronicle
  readonly uptake: Uptake
  readonly replicas: Replicas
  readonly keepings: Keepings
  readonly lead: Lead
}

type Outcome = Awaited<ReturnType<Reconcile>>

// A plan settles in three passes; more means that others write the same record all the time.
const mostPasses = 12
// An entry may be told of before its VM, which another replica admitted this instant.
const orphanMs = 10_000

export function createReconcile(deps: ReconcileDeps): Reconcile {
  const { store, mesh, clock, log, effects, inventory, roster, streams, liveness, uptake, chronicle } = deps
  const { replicas, keepings, lead } = deps
  /** Entries without a VM, and since when. */
  const orphans = new Map<string, number>()

  return async (vm, signal) => {
    const stored = await store.get('vm', vm)
    const keeping = stored && keepings.of(vm, stored.value)
    if (keeping?.by !== 'lead') return settle(vm, signal, 'own')
    // Of what others owned only the resources tell, and what is behind tells of VMs that came back long ago.
    if (!replicas.isCurrent()) throw new MooringError('STORE_UNAVAILABLE', { detail: 'it is behind' })
    return lead.doing(signal, (within) => settle(vm, within, 'lead'))
  }

  async function settle(vm: string, signal: AbortSignal, as: 'own' | 'lead'): Promise<Outcome> {
    for (let pass = 0; pass < mostPasses; pass += 1) {
      signal.throwIfAborted()
      const stored = await store.get('vm', vm)
      if (stored === undefined) return clear(vm, signal)
      orphans.delete(vm)
      sessionOf(vm, stored.value)
      const keeping = keepings.of(vm, stored.value)
      if (keeping.by === 'another') return leave(vm, keeping)
      // It became the lead's since: its next look is under the lead's signal.
      if (keeping.by === 'lead' && as !== 'lead') return { wakeAt: clock.now() }
      if (roster.pool(stored.value.pool) === undefined) await roster.refresh('pool', stored.value.pool)
      const situation = gather(vm, stored.value)
      expect(situation, keeping)
      const { actions, wakeAt } = plan(situation)
      if (actions.length === 0) return wakeAt === undefined ? {} : { wakeAt }
      try {
        for (const action of actions) {
          // The rest follows when the wait is over; it is planned anew then.
          if (action.do === 'await-taken' && !isTaken(action.ref, situation))
            return wakeAt === undefined ? {} : { wakeAt }
          if (as === 'lead' && !lead.holds) return {}
          await carryOut(action, situation, stored.version, signal)
        }
      } catch (error) {
        // Somebody else wrote the record: what they wrote is planned for next.
        if (isMooringError(error, 'CONFLICT')) continue
        await note(vm, error)
        throw error
      }
    }
    throw new MooringError('CONFLICT', { detail: `vm/${vm} does not come to rest` })
  }

  /** Another replica's VM: nothing here speaks for it, and nobody here listens for it. */
  function leave(vm: string, { lookAt }: Extract<Keeping, { by: 'another' }>): Outcome {
    liveness.forget(vm)
    uptake.forget(vm)
    streams.release(vm)
    return lookAt === undefined ? {} : { wakeAt: lookAt }
  }

  function gather(vm: string, record: VmRecord): Situation {
    const pool = roster.pool(record.pool)
    const own = pool && refOf(workloadEntry({ vm, record, pool, poolName: record.pool, health: 'none' }))
    const ownKey = own && keyOf(own)
    const network = roster.networkOf(record)
    const place = placeOf(record.address, network)
    const session = sessionOf(vm, record)
    const facts = pool && poolFacts(mesh, pool)
    return {
      vm,
      record,
      pool,
      terms: termsOf(pool, mesh.facts()),
      network,
      entry: own && inventory.held(own),
      eviction: inventory.held(refOf(evictionPolicy(vm, record))),
      strays: inventory.entriesNamed(vm).filter((ref) => keyOf(ref) !== ownKey),
      addressOwner: roster.ownerOf(vm, record),
      rivals: inventory.entriesAt(place).filter((ref) => ref.name !== vm),
      foreignEvictions: evictionsAt(vm, record),
      otherEndpoints: roster.otherEndpoints(vm, record),
      session,
      hearing: liveness.hearing(vm),
      revision:
        session === undefined || pool === undefined
          ? ''
          : facts === undefined
            ? session.status.bundleRevision
            : bundleRevision({ vm, record, pool, poolName: record.pool, facts }),
      trust: trustDigest((facts ?? mesh.facts()).rootCertificates),
      instance: replicas.self,
      now: clock.now(),
    }
  }

  function sessionOf(vm: string, record: VmRecord): SessionFacts | undefined {
    const session = streams.session(vm)
    if (session === undefined || session.keyThumbprint === record.keyThumbprint) return session
    streams.reject(vm)
    return undefined
  }

  function evictionsAt(vm: string, record: VmRecord): ObjectRef[] {
    const refs: ObjectRef[] = []
    for (const other of roster.at(record)) {
      const removed = roster.vm(other)
      if (other === vm || removed?.revoked === undefined) continue
      const ref = refOf(evictionPolicy(other, removed))
      if (inventory.held(ref) !== undefined) refs.push(ref)
    }
    return refs
  }

  /** Tells the liveness how long this VM may be silent, and what its silence would mean. */
  function expect({ vm, record, terms, now }: Situation, keeping: Keeping): void {
    // Its stream will be opened at whichever replica; who only admits it does not wait for it.
    if (keeping.by === 'join') return
    if (!hasEntry(record.phase)) {
      liveness.forget(vm)
      uptake.forget(vm)
      return
    }
    const wasHeld = record.conditions.some((c) => c.type === 'Connected' && c.reason === 'MassLoss')
    liveness.expect(vm, {
      heartbeatMs: terms.heartbeatMs,
      lostAfterMs: terms.lostAfterMs,
      graceMs: terms.graceMs,
      since: expectedSince(keeping, record, terms.lostAfterMs, now),
      // Those that join prove nothing yet, and those that drain are expected to fall silent.
      guarded: record.phase === 'joined' || record.phase === 'ready' || record.phase === 'unhealthy',
      ...(wasHeld && { heldSince: record.lastSeenAt }),
    })
  }

  async function carryOut(action: Action, situation: Situation, version: string, signal: AbortSignal) {
    const { vm, record, session } = situation
    switch (action.do) {
      case 'remove-entry':
        return inventory.removeEntry(action.ref, action.stale, signal)
      case 'apply-entry':
        return inventory.applyEntry(action.object, signal)
      case 'apply-eviction':
        return inventory.applyEviction(action.object, signal)
      case 'lift-eviction':
        return inventory.liftEviction(action.ref, signal)
      case 'write':
        await write(vm, action.record, version)
        return chronicle.written(vm, record, action.record)
      case 'forget':
        await effects.run('vm-written', () => store.commit([{ remove: 'vm', name: vm, version }]))
        return roster.refresh('vm', vm)
      case 'await-taken':
        return
      case 'send':
        if (session === undefined) return
        if (action.message.kind === 'drain' && action.message.lastEndpoint) {
          chronicle.lastEndpoint(vm, record, 'vm.drain')
        }
        if (action.message.kind === 'restart' && isLastEndpoint(situation)) {
          chronicle.lastEndpoint(vm, record, 'vm.restart')
        }
        if (action.message.kind !== 'drain') return void streams.send(vm, session, action.message)
        return effects.run('drain-sent', () => void streams.send(vm, session, action.message, record.drain))
      case 'farewell':
        return streams.farewell(vm, action.revoked)
    }
  }

  /** Whether istiod has taken in what this drain or restart closed; each stream of the VM waits anew. */
  function isTaken(ref: ObjectRef, { vm, record, session }: Situation): boolean {
    const wish = record.drain === undefined ? `restart/${record.restart?.since}` : drainKey(record.drain)
    return uptake.isOver(vm, `${session?.epoch}/${wish}`, ref)
  }

  async function write(vm: string, record: VmRecord, version: string): Promise<void> {
    await effects.run('vm-written', () => store.commit([{ put: 'vm', name: vm, value: record, version }]))
    await roster.refresh('vm', vm)
  }

  /** A VM without a record has nothing in the mesh. */
  async function clear(vm: string, signal: AbortSignal): Promise<Outcome> {
    const wasHere = streams.session(vm) !== undefined
    liveness.forget(vm)
    uptake.forget(vm)
    const entries = inventory.entriesNamed(vm)
    const isOrphan = wasHere || !replicas.several || orphanedFor(vm) >= orphanMs
    if (entries.length > 0 && !isOrphan) return { wakeAt: clock.now() + orphanMs }
    orphans.delete(vm)
    const remove = async (within: AbortSignal) => {
      for (const ref of entries) await inventory.removeEntry(ref, false, within)
    }
    if (wasHere) await remove(signal)
    else if (lead.holds && replicas.isCurrent()) await lead.doing(signal, remove)
    streams.farewell(vm, false)
    await roster.refresh('vm', vm)
    return {}
  }

  function orphanedFor(vm: string): number {
    const now = clock.now()
    const since = orphans.get(vm) ?? now
    orphans.set(vm, since)
    return now - since
  }

  /** Puts into the record why its entry could not be written; a retry follows in any case. */
  async function note(vm: string, error: unknown): Promise<void> {
    if (!isMooringError(error) || !/^(MESH|KUBERNETES)_/.test(error.code)) return
    const stored = await store.get('vm', vm)
    if (stored === undefined) return
    const conditions = withCondition(
      stored.value.conditions,
      { type: 'EntryWritten', status: 'False', reason: error.code, message: error.detail ?? error.title },
      clock.now(),
    )
    if (conditions === stored.value.conditions) return
    await write(vm, { ...stored.value, conditions }, stored.version).catch((failure: unknown) =>
      log.debug('a mesh fault was not noted', { vm, error: errorText(failure) }),
    )
  }
}
