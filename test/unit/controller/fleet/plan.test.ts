import t from 'tap'
import { type Action, plan } from '../../../../controller/fleet/plan.ts'
import type { Situation } from '../../../../controller/fleet/situation.ts'
import { evictionPolicy, refOf, workloadEntry } from '../../../../controller/mesh/objects.ts'
import type { DesiredDrain, VmRecord } from '../../../../controller/store/records.ts'
import type { Down } from '../../../../shared/api/stream.ts'
import type { ConditionType } from '../../../../shared/conditions.ts'
import type { Phase } from '../../../../shared/lifecycle.ts'
import { after, now, record, session, situation, status, webPool, words } from './situations.ts'

/** Plans and carries out until nothing is left to do; all that was done, in order. */
function settle(start: Situation): { readonly done: Action[]; readonly end: Situation } {
  const done: Action[] = []
  let current = start
  for (let pass = 0; pass < 8; pass += 1) {
    const { actions } = plan(current)
    if (actions.length === 0) return { done, end: current }
    for (const action of actions) {
      done.push(action)
      current = after(current, action) ?? current
    }
  }
  throw new Error('it does not come to rest')
}

const entry = (record: VmRecord, health: 'open' | 'closed' | 'none') =>
  workloadEntry({ vm: 'vm-1', record, pool: webPool, poolName: 'web', health })

/** A VM that came to rest in this phase. */
function resting(phase: Phase, changes: Partial<VmRecord> = {}, more: Partial<Situation> = {}): Situation {
  const stored = record({
    phase,
    ...(phase !== 'joining' && { stream: { owner: 'controller-1', epoch: 1, since: now - 50_000 } }),
    ...changes,
  })
  const health = phase === 'ready' ? 'healthy' : phase === 'unhealthy' ? 'unhealthy' : 'unknown'
  return settle(
    situation({
      record: stored,
      hearing: { state: 'alive', lastHeard: now },
      session: session({ status: status({ health }), revisionTold: 'r1' }),
      ...more,
    }),
  ).end
}

const drain: DesiredDrain = { reason: 'operator', after: 'leave', requestedAt: now, by: 'operator:ann' }
const conditionOf = (record: VmRecord, type: ConditionType) => {
  const found = record.conditions.find((c) => c.type === type)
  return found && `${found.status} ${found.reason}`
}
const sent = <K extends Down['kind']>(actions: readonly Action[], kind: K) =>
  actions.flatMap((a) => (a.do === 'send' && a.message.kind === kind ? [a.message] : []))[0] as
    | Extract<Down, { kind: K }>
    | undefined

t.test('an admitted VM gets an entry without health, and then a record that says so', async (t) => {
  const { done, end } = settle(situation())
  t.same(words(done), ['entry without health', 'write joining'])
  t.equal(conditionOf(end.record, 'EntryWritten'), 'True Written')
  t.equal(conditionOf(end.record, 'EndpointOpen'), 'False Joining')
  t.equal(conditionOf(end.record, 'Connected'), 'Unknown NeverConnected')
})

t.test('hello is answered once the record names the stream', async (t) => {
  const start = situation({
    record: record({ stream: { owner: 'controller-0', epoch: 7, since: 0 } }),
    session: session({ state: 'greeting', epoch: 0 }),
    hearing: { state: 'alive', lastHeard: now },
  })
  const { done, end } = settle(start)
  t.same(words(done), ['entry without health', 'write joined', 'send welcome'])
  t.same(end.record.stream, { owner: 'controller-1', epoch: 8, since: now })
  t.same(sent(done, 'welcome'), {
    kind: 'welcome',
    wire: 1,
    epoch: 8,
    heartbeatMs: 2_000,
    lostAfterMs: 5_000,
    bundleRevision: 'r1',
    pacesRestarts: true,
    session: 'stream-1',
    now,
  })
})

t.test(
  'a healthy VM: the record says ready, then the entry is opened, then the record says open',
  async (t) => {
    const start = resting('joined')
    const { done, end } = settle({ ...start, session: session({ status: status({ health: 'healthy' }) }) })
    t.same(words(done), ['write ready', 'entry open', 'write ready'])
    const [first] = done
    t.equal(first?.do === 'write' && conditionOf(first.record, 'EndpointOpen'), 'False Opening')
    t.equal(conditionOf(end.record, 'EndpointOpen'), 'True Open')
    t.equal(conditionOf(end.record, 'Ready'), 'True Serving')
  },
)

t.test('an unhealthy VM: the entry is closed before the record says so', async (t) => {
  const start = resting('ready')
  const { done, end } = settle({ ...start, session: session({ status: status({ health: 'unhealthy' }) }) })
  t.same(words(done), ['entry closed', 'write unhealthy'])
  t.equal(conditionOf(end.record, 'EndpointOpen'), 'False Unhealthy')
})

t.test('an agent that starts again without a judgement does not close a serving VM', async (t) => {
  const start = resting('ready')
  const hello = session({ state: 'greeting', epoch: 0, status: status({ health: 'unknown' }) })
  t.same(words(settle({ ...start, session: hello }).done), ['write ready', 'send welcome'])
})

t.test('a machine that booted anew is closed until its agent says it is healthy', async (t) => {
  const start = resting('ready')
  const hello = session({ state: 'greeting', epoch: 0, bootId: 'boot-2', status: status() })
  const { done, end } = settle({ ...start, session: hello })
  t.same(words(done), ['entry closed', 'write unhealthy', 'send welcome'])
  t.equal(end.record.bootId, 'boot-2')
})

t.test('drain: closed, recorded, taken in by istiod, and only then told', async (t) => {
  const start = resting('ready')
  const { done } = settle({ ...start, record: { ...start.record, drain } })
  t.same(words(done), ['entry closed', 'write draining', 'taken vm-1', 'send drain'])
  t.same(sent(done, 'drain'), {
    kind: 'drain',
    reason: 'operator',
    after: 'leave',
    deadlineMs: 30_000,
    quietMs: 1_500,
    lastEndpoint: false,
  })
})

t.test('the last endpoint of a service is told that it is', async (t) => {
  const start = resting('ready', {}, { otherEndpoints: 0 })
  const last = settle({ ...start, record: { ...start.record, drain } })
  t.equal(sent(last.done, 'drain')?.lastEndpoint, true)
  const { service: _, ...callerOnly } = webPool.spec
  const pool = { ...webPool, spec: callerOnly }
  const caller = resting('ready', {}, { otherEndpoints: 0, pool })
  const { done } = settle({ ...caller, record: { ...caller.record, drain } })
  t.equal(sent(done, 'drain')?.lastEndpoint, false, 'a VM that serves nothing is no endpoint')
})

t.test('a drain that the VM asks for becomes desired state', async (t) => {
  const start = resting('ready')
  const asking = session({ drainRequest: { reason: 'shutdown', after: 'leave' } })
  const { done, end } = settle({ ...start, session: asking })
  t.same(words(done), ['entry closed', 'write draining', 'taken vm-1', 'send drain'])
  t.same(end.record.drain, { reason: 'shutdown', after: 'leave', requestedAt: now, by: 'vm:vm-1' })
})

t.test('a drain is told again in every new stream, with the time that is left', async (t) => {
  const start = resting('ready')
  const draining = settle({ ...start, record: { ...start.record, drain } }).end
  t.same(plan(draining).actions, [])
  const later = now + 12_000
  const again = settle({ ...draining, now: later, session: session({ state: 'greeting', epoch: 0 }) })
  t.same(words(again.done), ['write draining', 'send welcome', 'taken vm-1', 'send drain'])
  t.equal(sent(again.done, 'drain')?.deadlineMs, 18_000)
  const late = settle({ ...draining, now: now + 90_000, session: session({ state: 'greeting', epoch: 0 }) })
  t.equal(sent(late.done, 'drain')?.deadlineMs, 0)
})

t.test('drained and then left: the entry is gone before the record says left', async (t) => {
  const start = resting('ready')
  const draining = settle({ ...start, record: { ...start.record, drain } }).end
  const drained = { result: 'quiet', openRequests: 0, openConnections: 0 } as const
  const quiet = settle({ ...draining, session: session({ ...draining.session, drained }) })
  t.same(words(quiet.done), ['write draining'])
  t.equal(conditionOf(quiet.end.record, 'Drained'), 'True Quiet')
  const left = settle({ ...quiet.end, session: session({ ...quiet.end.session, left: true }) })
  t.same(words(left.done), ['remove vm-1', 'write left', 'farewell'])
  t.equal(left.end.record.drain, undefined)
})

t.test('a drain that ended at its deadline says what was cut', async (t) => {
  const draining = settle({ ...resting('ready'), record: { ...resting('ready').record, drain } }).end
  const drained = { result: 'deadline', openRequests: 2, openConnections: 1 } as const
  const { end } = settle({ ...draining, session: session({ ...draining.session, drained }) })
  const condition = end.record.conditions.find((c) => c.type === 'Drained')
  t.match(condition, { status: 'True', reason: 'DRAIN_DEADLINE', message: /2 requests and 1 connections/ })
})

t.test('one that is held stays draining, and is not told again', async (t) => {
  const start = resting('ready')
  const hold = { ...drain, after: 'hold' } as const
  const draining = settle({ ...start, record: { ...start.record, drain: hold } }).end
  const drained = { result: 'quiet', openRequests: 0, openConnections: 0 } as const
  const held = settle({ ...draining, session: session({ ...draining.session, drained }) }).end
  const again = settle({ ...held, now: now + 99_000, session: session({ state: 'greeting', epoch: 0 }) })
  t.same(words(again.done), ['write draining', 'send welcome'])
  const asked = session({ ...again.end.session, drainRequest: { reason: 'shutdown', after: 'leave' } })
  const leaving = settle({ ...again.end, session: asked })
  t.equal(sent(leaving.done, 'drain')?.after, 'leave', 'its own shutdown turns holding into leaving')
  const holding = session({ ...leaving.end.session, drainRequest: { reason: 'operator', after: 'hold' } })
  t.same(plan({ ...leaving.end, session: holding }).actions, [], 'and nothing turns leaving into holding')
})

t.test('a new wish is told in the same stream, a told one is not', async (t) => {
  const start = resting('ready')
  const hold = { ...drain, after: 'hold' } as const
  const draining = settle({ ...start, record: { ...start.record, drain: hold } }).end
  t.same(plan(draining).actions, [])
  const leave = { ...drain, requestedAt: now + 1 }
  const { done } = settle({ ...draining, record: { ...draining.record, drain: leave } })
  t.equal(sent(done, 'drain')?.after, 'leave')
})

t.test('an agent that does not answer a drain is waited for no longer than deadline and slack', async (t) => {
  const start = resting('ready')
  const draining = settle({ ...start, record: { ...start.record, drain } }).end
  t.equal(plan(draining).wakeAt, now + 40_000)
  t.same(plan({ ...draining, now: now + 39_999 }).actions, [])
  const { done, end } = settle({ ...draining, now: now + 40_000 })
  t.same(words(done), ['write draining'], 'its endpoint stays closed')
  t.equal(conditionOf(end.record, 'Drained'), 'False DRAIN_DEADLINE')
})

t.test('a lost VM is closed at once and deleted after the grace period', async (t) => {
  const start = resting('ready')
  const vanished = { state: 'vanished', lastHeard: now - 5_000 } as const
  const lost = settle({ ...start, hearing: vanished })
  t.same(words(lost.done), ['entry closed', 'write lost'])
  t.equal(lost.end.record.lastSeenAt, now)
  t.equal(lost.end.record.health, 'unknown')
  t.equal(conditionOf(lost.end.record, 'Connected'), 'False NotHeard')
  const graceEnds = now + lost.end.terms.graceMs
  t.equal(plan(lost.end).wakeAt, graceEnds)
  t.same(plan({ ...lost.end, now: graceEnds - 1 }).actions, [])
  t.same(words(settle({ ...lost.end, now: graceEnds }).done), ['remove vm-1', 'write left', 'farewell'])
})

t.test('a lost VM that is back is opened by its health alone', async (t) => {
  const lost = settle({ ...resting('ready'), hearing: { state: 'vanished', lastHeard: now - 5_000 } }).end
  const alive = { state: 'alive', lastHeard: now } as const
  const mute = settle({ ...lost, hearing: alive, session: session() })
  t.same(words(mute.done), ['write lost'])
  t.equal(conditionOf(mute.end.record, 'Connected'), 'True StreamOpen')
  const well = { ...mute.end, session: session({ status: status({ health: 'healthy' }) }) }
  t.same(words(settle(well).done), ['write ready', 'entry open', 'write ready'])
})

t.test('a VM whose closing is held stays open, and says so', async (t) => {
  const start = resting('ready')
  const { done, end } = settle({ ...start, hearing: { state: 'held', lastHeard: now - 5_000 } })
  t.same(words(done), ['write ready'])
  t.equal(conditionOf(end.record, 'Connected'), 'False MassLoss')
  t.equal(conditionOf(end.record, 'EndpointOpen'), 'True Open')
})

t.test('a draining VM that fell silent after it had drained is gone; before, it is lost', async (t) => {
  const start = resting('ready')
  const draining = settle({ ...start, record: { ...start.record, drain } }).end
  const vanished = { state: 'vanished', lastHeard: now - 5_000 } as const
  t.same(words(settle({ ...draining, hearing: vanished }).done), ['write lost'])
  const drained = { result: 'quiet', openRequests: 0, openConnections: 0 } as const
  const quiet = settle({ ...draining, session: session({ ...draining.session, drained }) }).end
  t.same(words(settle({ ...quiet, hearing: vanished }).done), ['remove vm-1', 'write left', 'farewell'])
})

t.test('right after a start of the controller the last state holds', async (t) => {
  for (const phase of ['ready', 'unhealthy', 'joined'] as const) {
    const start = resting(phase)
    const restarted = { ...start, session: undefined, hearing: { state: 'waiting', lastHeard: 0 } as const }
    t.same(plan(restarted).actions, [], phase)
    t.same(words(settle({ ...restarted, entry: undefined }).done).length > 0, true, `${phase}: put back`)
  }
  const ready = resting('ready')
  const bare = {
    ...ready,
    session: undefined,
    entry: undefined,
    hearing: { state: 'waiting', lastHeard: 0 } as const,
  }
  t.equal(words(settle(bare).done).includes('entry open'), true)
})

t.test('removed now: denied, then the entry goes, then the record, then the stream', async (t) => {
  const start = resting('ready')
  const revoked = { at: now, by: 'operator:ann', evictUntil: now + 10_000, now: true }
  const { done, end } = settle({ ...start, record: { ...start.record, revoked } })
  t.same(words(done), ['deny evicted-vm-1', 'remove vm-1', 'write left', 'farewell, revoked'])
  const until = end.record.revoked?.evictUntil ?? 0
  t.equal(until, now + 3_600_000, 'it could renew its workload certificate until this moment')
  t.equal(plan(end).wakeAt, until)
  t.same(words(settle({ ...end, now: until }).done), ['allow evicted-vm-1'])
})

t.test('removed: drained first, then as above', async (t) => {
  const start = resting('ready')
  const revoked = { at: now, by: 'operator:ann', evictUntil: now + 9_000_000, now: false }
  const draining = settle({ ...start, record: { ...start.record, revoked, drain } })
  t.same(words(draining.done), ['entry closed', 'write draining', 'taken vm-1', 'send drain'])
  const left = settle({ ...draining.end, session: session({ ...draining.end.session, left: true }) })
  t.same(words(left.done), ['deny evicted-vm-1', 'remove vm-1', 'write left', 'farewell, revoked'])
  const silent = settle({ ...draining.end, now: now + 40_000 })
  t.same(
    words(silent.done).slice(0, 3),
    ['deny evicted-vm-1', 'remove vm-1', 'write left'],
    'an agent that does not answer does not keep it',
  )
  const gone = settle({ ...draining.end, hearing: { state: 'vanished', lastHeard: 1 } })
  t.equal(gone.end.record.phase, 'left', 'nor does one that is gone')
})

t.test("another VM's entry and denial at its address go before its own entry is written", async (t) => {
  const other = record({ keyThumbprint: 'key-0' })
  const rival = refOf(
    workloadEntry({ vm: 'vm-0', record: other, pool: webPool, poolName: 'web', health: 'open' }),
  )
  const denial = refOf(evictionPolicy('vm-9', other))
  const { done } = settle(situation({ rivals: [rival], foreignEvictions: [denial] }))
  t.same(words(done), ['remove vm-0 (stale)', 'allow evicted-vm-9', 'entry without health', 'write joining'])
})

t.test('a VM whose address was given away has no entry, whatever its agent says', async (t) => {
  const start = resting('ready')
  const { done, end } = settle({ ...start, addressOwner: 'vm-2', rivals: [] })
  t.same(words(done), ['remove vm-1', 'write lost'])
  t.equal(conditionOf(end.record, 'EntryWritten'), 'False ADDRESS_TAKEN')
  const rival = refOf(
    workloadEntry({ vm: 'vm-2', record: end.record, pool: webPool, poolName: 'web', health: 'open' }),
  )
  t.same(plan({ ...end, rivals: [rival] }).actions, [], 'it leaves the entry of the owner alone')
  const free = settle({ ...end, addressOwner: 'vm-1' })
  t.equal(free.end.record.phase, 'ready', 'it serves again when the address is free')
})

t.test('a bundle that changed is told once in a stream', async (t) => {
  const start = resting('ready')
  const changed = settle({ ...start, revision: 'r2' })
  t.same(words(changed.done), ['send refresh'])
  const taken = session({
    ...changed.end.session,
    status: status({ health: 'healthy', bundleRevision: 'r2' }),
  })
  t.same(words(settle({ ...changed.end, session: taken }).done), ['write ready'])
})

t.test('the entry follows its pool, also into another namespace', async (t) => {
  const start = resting('ready')
  const pool = { ...webPool, spec: { ...webPool.spec, labels: { tier: 'front' } } }
  const labelled = settle({ ...start, pool })
  t.same(words(labelled.done), ['entry open'])
  t.match(labelled.end.entry, { spec: { labels: { tier: 'front' } } })
  const moved = { ...webPool, spec: { ...webPool.spec, namespace: 'other' } }
  const stray = refOf(entry(start.record, 'open'))
  const { done } = settle({ ...start, pool: moved, entry: undefined, strays: [stray] })
  t.equal(words(done)[0], 'remove vm-1', 'the old one goes first: an address has one entry')
  t.equal(words(done).includes('entry open'), true)
})

t.test('without its pool a VM has no entry', async (t) => {
  const start = resting('ready')
  const { done, end } = settle({
    ...start,
    pool: undefined,
    entry: undefined,
    strays: [refOf(entry(start.record, 'open'))],
  })
  t.equal(words(done)[0], 'remove vm-1')
  t.equal(conditionOf(end.record, 'EntryWritten'), 'False POOL_UNKNOWN')
  t.equal(conditionOf(end.record, 'Ready'), 'False POOL_UNKNOWN')
})

t.test('an entry of which it is not known whether it was written is written again', async (t) => {
  const start = resting('ready')
  t.same(words(settle({ ...start, entry: 'unknown' }).done).includes('entry open'), true)
  const left = settle({ ...start, session: session({ ...start.session, left: true }) }).end
  t.same(words(settle({ ...left, entry: 'unknown' }).done), ['remove vm-1'])
})

t.test('a VM that left and connects is told that its entry is gone', async (t) => {
  const start = situation({
    record: record({ phase: 'left' }),
    session: session({ state: 'greeting', epoch: 0 }),
  })
  t.same(words(settle(start).done).at(-1), 'farewell')
})

t.test('a record is forgotten when it can neither come back nor do harm', async (t) => {
  const left = settle(
    situation({ record: record({ phase: 'left', phaseSince: now, certificateExpiresAt: now + 1_000 }) }),
  ).end
  const at = now + left.terms.renewWithinMs
  t.equal(plan(left).wakeAt, at)
  t.same(words(plan({ ...left, now: at }).actions), ['forget'])
})

t.test('a status that changes nothing costs no write', async (t) => {
  const start = resting('ready')
  t.same(plan(start).actions, [])
  t.same(
    plan({ ...start, hearing: { state: 'alive', lastHeard: now + 2_000 }, now: now + 2_000 }).actions,
    [],
  )
})

t.test(
  'conditions of the agent are taken as far as the catalogue knows them and they are its own',
  async (t) => {
    const conditions = [
      { type: 'SidecarReady', status: 'False', reason: 'SIDECAR_NOT_READY', message: 'no \u001b[31mistiod' },
      { type: 'FromTheFuture', status: 'True', reason: 'X', message: '' },
      { type: 'EndpointOpen', status: 'True', reason: 'Forged', message: 'trust me' },
    ] as const
    const start = resting('joined')
    const reporting = session({ status: status({ conditions: [...conditions] }) })
    const { end } = settle({ ...start, session: reporting })
    const types = end.record.conditions.map((c) => c.type as string)
    t.notOk(types.includes('FromTheFuture'))
    t.equal(conditionOf(end.record, 'EndpointOpen'), 'False Joined')
    t.equal(end.record.conditions.find((c) => c.type === 'SidecarReady')?.message, 'no  [31mistiod')
    const fewer = settle({ ...end, session: session() }).end
    t.equal(
      conditionOf(fewer.record, 'SidecarReady'),
      undefined,
      'what is not reported any more is not known',
    )
  },
)
