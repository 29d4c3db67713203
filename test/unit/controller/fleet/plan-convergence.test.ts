import fc from 'fast-check'
import t from 'tap'
import { healthOf, plan, wantedEntry } from '../../../../controller/fleet/plan.ts'
import type { SessionFacts } from '../../../../controller/fleet/session.ts'
import type { Held, Situation } from '../../../../controller/fleet/situation.ts'
import { evictionPolicy, refOf, sameObject, workloadEntry } from '../../../../controller/mesh/objects.ts'
import type { VmRecord } from '../../../../controller/store/records.ts'
import { drainReasons } from '../../../../shared/api/stream.ts'
import { type ConditionStatus, conditionTypes } from '../../../../shared/conditions.ts'
import { events, hasEndpoint, hasEntry, next, type Phase, phases } from '../../../../shared/lifecycle.ts'
import { after, now, record, session, situation, status, webPool } from './situations.ts'

const statuses: readonly ConditionStatus[] = ['True', 'False', 'Unknown']
const time = fc.integer({ min: now - 2_000_000, max: now + 2_000_000 })
const word = fc.constantFrom('a', 'b')
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const present = <T extends object>(object: T) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))

const drain = fc.record({
  reason: fc.constantFrom(...drainReasons),
  after: fc.constantFrom('leave', 'hold'),
  requestedAt: time,
  by: word,
})
const revoked = fc.record({ at: time, by: word, evictUntil: time, now: fc.boolean() })

const anyRecord: fc.Arbitrary<VmRecord> = fc
  .record({
    phase: fc.constantFrom(...phases),
    phaseSince: time,
    admittedAt: time,
    lastSeenAt: time,
    certificateExpiresAt: time,
    health: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
    bootId: fc.constantFrom('boot-1', 'boot-2', ''),
    drain: optional(drain),
    revoked: optional(revoked),
    stream: optional(fc.record({ owner: word, epoch: fc.nat(9), since: time })),
    conditions: fc.uniqueArray(
      fc.record({
        type: fc.constantFrom(...conditionTypes),
        status: fc.constantFrom(...statuses),
        reason: word,
        message: word,
        since: time,
      }),
      { selector: (c) => c.type },
    ),
  })
  .map((changes) => record(present(changes) as Partial<VmRecord>))

const anySession: fc.Arbitrary<SessionFacts> = fc
  .record({
    state: fc.constantFrom('greeting', 'open', 'closed'),
    epoch: fc.nat(9),
    bootId: fc.constantFrom('boot-1', 'boot-2', ''),
    left: fc.boolean(),
    health: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
    bundleRevision: fc.constantFrom('r1', 'r2', ''),
    revisionTold: optional(fc.constantFrom('r1', 'r2')),
    drainRequest: optional(
      fc.record({ reason: fc.constantFrom(...drainReasons), after: fc.constantFrom('leave', 'hold') }),
    ),
    drained: optional(
      fc.record({
        result: fc.constantFrom('quiet', 'deadline'),
        openRequests: fc.nat(3),
        openConnections: fc.nat(3),
      }),
    ),
  })
  .map(({ health, bundleRevision, ...rest }) =>
    session({ ...present(rest), status: status({ health, bundleRevision }) } as Partial<SessionFacts>),
  )

const anySituation: fc.Arbitrary<Situation> = fc
  .record({
    record: anyRecord,
    session: optional(anySession),
    hasPool: fc.boolean(),
    entry: fc.constantFrom('open', 'closed', 'none', 'unknown', 'other', undefined),
    eviction: fc.constantFrom('held', 'unknown', undefined),
    stray: fc.boolean(),
    rival: fc.boolean(),
    foreignEviction: fc.boolean(),
    addressOwner: fc.constantFrom('vm-1', 'vm-1', 'vm-2'),
    otherEndpoints: fc.nat(1),
    hearing: fc.record({
      state: fc.constantFrom('waiting', 'alive', 'held', 'vanished'),
      lastHeard: fc.constantFrom(0, now - 3_000),
    }),
  })
  .map(({ hasPool, entry, eviction, stray, rival, foreignEviction, ...rest }) => {
    const made = (vm: string, health: 'open' | 'closed' | 'none') =>
      workloadEntry({ vm, record: rest.record, pool: webPool, poolName: 'web', health })
    const elsewhere = { ...refOf(made('vm-1', 'none')), namespace: 'elsewhere' }
    let held: Held
    if (entry === 'unknown') held = 'unknown'
    else if (entry === 'other') held = { ...made('vm-1', 'open'), spec: { address: '10.9.9.9' } }
    else if (entry !== undefined) held = made('vm-1', entry)
    return situation({
      ...rest,
      pool: hasPool ? webPool : undefined,
      entry: hasPool ? held : undefined,
      eviction: eviction === 'held' ? evictionPolicy('vm-1', rest.record) : eviction,
      strays: stray ? [elsewhere] : [],
      rivals: rival ? [refOf(made('vm-2', 'open'))] : [],
      foreignEvictions: foreignEviction ? [refOf(evictionPolicy('vm-9', rest.record))] : [],
    })
  })

/** Carries out plans until none has actions; `each` sees every step. */
function settle(
  start: Situation,
  each?: (before: Situation, after: Situation) => void,
): Situation | undefined {
  let current = start
  for (let pass = 0; pass < 6; pass += 1) {
    const { actions } = plan(current)
    if (actions.length === 0) return current
    for (const action of actions) {
      const then = after(current, action)
      if (then === undefined) return undefined
      each?.(current, then)
      current = then
    }
  }
  throw new Error('it does not come to rest')
}

const isOpen = (held: Held) => held !== undefined && held !== 'unknown' && healthOf(held) === 'open'

/** Phases that a VM can come to from `phase` by the events of the lifecycle. */
function reachable(phase: Phase): Set<Phase> {
  const found = new Set<Phase>([phase])
  for (const from of found) for (const event of events) found.add(next(from, event))
  return found
}

t.test('from any situation it comes to rest, and a rest has nothing to do', async (t) => {
  fc.assert(
    fc.property(anySituation, (start) => {
      const end = settle(start)
      if (end !== undefined && plan(end).actions.length > 0) throw new Error('not at rest')
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})

t.test('at rest the entry is what the phase wants', async (t) => {
  fc.assert(
    fc.property(anySituation, (start) => {
      const end = settle(start)
      if (end === undefined) return true
      const wanted = wantedEntry(end)
      if (end.strays.length > 0) return false
      if (wanted === undefined) return end.entry === undefined
      const isMine = hasEntry(end.record.phase) && end.addressOwner === end.vm
      if (isMine && end.rivals.length + end.foreignEvictions.length > 0) return false
      return end.entry !== undefined && end.entry !== 'unknown' && sameObject(end.entry, wanted)
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})

t.test('a crash after any action leaves no open entry that the record does not say', async (t) => {
  fc.assert(
    fc.property(anySituation, (start) => {
      settle(start, (before, then) => {
        const opened = !isOpen(before.entry) && isOpen(then.entry)
        if (opened && !hasEndpoint(then.record.phase)) throw new Error('opened before it was recorded')
        const recorded = before.record !== then.record && !hasEndpoint(then.record.phase)
        if (recorded && isOpen(then.entry)) throw new Error('recorded before it was closed')
        const left = before.record.phase !== 'left' && then.record.phase === 'left'
        if (left && then.entry !== undefined) throw new Error('left before its entry was gone')
      })
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})

t.test('a crash after any action, and it comes to the same rest', async (t) => {
  fc.assert(
    fc.property(anySituation, fc.nat(12), (start, crashAfter) => {
      const straight = settle(start)
      let count = 0
      let crashed: Situation | undefined
      settle(start, (_, then) => {
        if (count++ === crashAfter) crashed = then
      })
      if (crashed === undefined || straight === undefined) return true
      const resumed = settle(crashed)
      return (
        resumed?.record.phase === straight.record.phase &&
        JSON.stringify(resumed.entry) === JSON.stringify(straight.entry) &&
        JSON.stringify(resumed.eviction) === JSON.stringify(straight.eviction)
      )
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})

t.test('phases change only as the lifecycle allows', async (t) => {
  fc.assert(
    fc.property(anySituation, (start) => {
      settle(start, (before, then) => {
        if (!reachable(before.record.phase).has(then.record.phase)) throw new Error('no such way')
        if (before.record.phase === 'draining' && then.record.phase === 'ready') throw new Error('undrained')
      })
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})

t.test('an open stream at rest was welcomed, and told of its drain', async (t) => {
  fc.assert(
    fc.property(anySituation, (start) => {
      const end = settle(start)
      if (end?.session === undefined || end.session.state === 'closed') return true
      if (!hasEntry(end.record.phase) || end.session.state !== 'open') return false
      const drained = end.record.conditions.some((c) => c.type === 'Drained' && c.status === 'True')
      const isDue = end.record.phase === 'draining' && end.record.drain !== undefined
      return !isDue || (drained && end.record.drain?.after === 'hold') || end.session.drainTold !== undefined
    }),
    { numRuns: 3_000 },
  )
  t.pass('held for 3000 situations')
})
