import fc from 'fast-check'
import t from 'tap'
import { type ExplainInput, explain, lasting } from '../../../../controller/fleet/explain.ts'
import { termsOf } from '../../../../controller/fleet/terms.ts'
import type { VmRecord } from '../../../../controller/store/records.ts'
import { type Condition, type ConditionType, conditionTypes } from '../../../../shared/conditions.ts'
import { phases } from '../../../../shared/lifecycle.ts'
import { fakeFacts } from '../../../fakes/mesh.ts'
import { now, record, webPool } from './situations.ts'

const condition = (
  type: ConditionType,
  status: Condition['status'],
  reason = 'Because',
  message = '',
): Condition => ({ type, status, reason, message, since: now - 30_000 })

function ask(changes: Partial<VmRecord>, more: Partial<ExplainInput> = {}) {
  return explain({
    vm: 'vm-1',
    record: record({ phaseSince: now - 45_000, ...changes }),
    terms: termsOf(webPool, fakeFacts),
    hearing: { state: 'alive', lastHeard: now - 1_000 },
    connected: true,
    now,
    ...more,
  })
}

t.test('a VM that serves needs no fix', async (t) => {
  const conditions = [condition('EndpointOpen', 'True'), condition('Ready', 'True')]
  t.same(ask({ phase: 'ready', conditions }), {
    id: 'vm-1',
    ready: true,
    summary: 'It is in the mesh and serves.',
    since: now - 45_000,
  })
})

t.test('a VM that serves, though something of it has to be mended', async (t) => {
  const message = 'its sha256 differs; version 1.29.1 goes on'
  const conditions = [
    condition('SidecarInstalled', 'False', 'ARTIFACT_DIGEST_MISMATCH', message),
    condition('EndpointOpen', 'True'),
    condition('Drained', 'False', 'NotDraining'),
    condition('Ready', 'True'),
  ]
  t.match(ask({ phase: 'ready', conditions }), {
    ready: true,
    summary: 'It is in the mesh and serves, but "The sidecar is installed in the wanted version" is False.',
    step: 'SidecarInstalled',
    cause: /its sha256 differs; version 1\.29\.1 goes on/,
    fix: /Nothing of it was run/,
    since: now - 30_000,
  })
  const unjudged = [condition('EndpointOpen', 'True'), condition('Connected', 'Unknown')]
  t.equal(ask({ phase: 'ready', conditions: unjudged }).step, undefined, 'what is not known is no fault')
})

t.test('the first failing step is named, with the words of the error catalogue', async (t) => {
  const conditions = [
    condition('SidecarInstalled', 'False', 'ARTIFACT_DIGEST_MISMATCH', 'sha256 differs'),
    condition('SidecarReady', 'Unknown'),
    condition('EndpointOpen', 'False', 'Joined'),
  ]
  const told = ask({ phase: 'joined', conditions })
  t.equal(told.step, 'SidecarInstalled')
  t.match(told.summary, /It is joined for 45 s: "The sidecar is installed in the wanted version" is False/)
  t.match(told.cause, /not the one the controller announced: sha256 differs/)
  t.match(told.fix, /Nothing of it was run/)
  t.equal(told.since, now - 30_000)
})

t.test('a reason that is no error code is told as it is', async (t) => {
  const told = ask({
    phase: 'unhealthy',
    conditions: [condition('ApplicationHealthy', 'False', 'Http503', '/ready')],
  })
  t.equal(told.cause, 'Http503: /ready')
  t.equal(told.fix, undefined)
})

t.test('a mesh that cannot be written is the cause, whatever else is wrong', async (t) => {
  const conditions = [
    condition('SidecarReady', 'False', 'SIDECAR_NOT_READY'),
    condition('EntryWritten', 'False', 'MESH_UNAVAILABLE', 'disk full'),
    condition('EndpointOpen', 'True'),
  ]
  for (const phase of ['ready', 'unhealthy', 'joined'] as const) {
    t.match(ask({ phase, conditions }), { step: 'EntryWritten', cause: /disk full/, fix: /readyz/ }, phase)
  }
})

t.test('one that joined and never connected is told from one whose stream closed', async (t) => {
  const conditions = [condition('Connected', 'Unknown', 'NeverConnected')]
  const away = { connected: false, hearing: { state: 'waiting', lastHeard: 0 } } as const
  const never = ask({ phase: 'joining', conditions }, away)
  t.match(never, { step: 'Connected', cause: /never opened a stream/, summary: /joining for 45 s/ })
  const stream = { owner: 'controller-1', epoch: 1, since: now - 60_000 }
  t.match(ask({ phase: 'joined', conditions, stream }, away).cause, /stream closed/)
})

t.test('one without any fault waits for its first judgement', async (t) => {
  t.match(ask({ phase: 'joined' }), { summary: /no step has failed/, fix: /mooring-agent doctor/ })
})

t.test('a lost VM: how long it is silent, what it may be, and what will happen', async (t) => {
  const told = ask(
    { phase: 'lost' },
    { connected: false, hearing: { state: 'vanished', lastHeard: now - 12_000 } },
  )
  t.match(told, { ready: false, step: 'Connected', summary: /not heard from for 12 s/, cause: /power/ })
  t.match(told.fix, /deleted after 5 min/)
  const restarted = ask(
    { phase: 'lost', lastSeenAt: now - 240_000 },
    { connected: false, hearing: { state: 'waiting', lastHeard: 0 } },
  )
  t.match(restarted.summary, /not heard from for 4 min/, 'also when this controller never heard it')
  t.match(ask({ phase: 'lost' }).summary, /is back/)
})

t.test('a lost VM whose address was given away', async (t) => {
  const conditions = [condition('EntryWritten', 'False', 'ADDRESS_TAKEN', '10.0.0.1 belongs to vm-2 now')]
  const told = ask({ phase: 'lost', conditions })
  t.match(told, { step: 'EntryWritten', summary: /10\.0\.0\.1 was given to another VM/, cause: /vm-2/ })
})

t.test('one whose closing is held', async (t) => {
  const held = { hearing: { state: 'held', lastHeard: now - 9_000 }, connected: false } as const
  const told = ask({ phase: 'ready', conditions: [condition('Ready', 'True')] }, held)
  t.match(told, { ready: true, step: 'Connected', summary: /for 9 s, like too many others/ })
  t.match(told.fix, /closed at the latest after 5 min/)
})

t.test('draining: who wished it, how far it is, and what is missing', async (t) => {
  const drain = { reason: 'scale-in', after: 'leave', requestedAt: now, by: 'operator:ann' } as const
  t.match(ask({ phase: 'draining', drain }), {
    summary: /draining for 45 s \(scale-in, wished by operator:ann\)/,
    cause: /until the deadline/,
  })
  t.match(ask({ phase: 'draining', drain }, { connected: false }), { step: 'Connected', cause: /not told/ })
  const late = [condition('Drained', 'False', 'DRAIN_DEADLINE', 'no answer')]
  t.match(ask({ phase: 'draining', drain, conditions: late }), { step: 'Drained', cause: 'no answer' })
  const done = [condition('Drained', 'True', 'Quiet', 'no request was open')]
  t.match(ask({ phase: 'draining', drain, conditions: done }).fix, /then leaves/)
  const hold = { ...drain, after: 'hold' } as const
  t.match(ask({ phase: 'draining', drain: hold, conditions: done }).fix, /on purpose/)
})

t.test('announced, left and removed', async (t) => {
  t.match(ask({ phase: 'announced' }).cause, /No join request/)
  t.match(ask({ phase: 'left' }), { summary: 'It left the mesh.', cause: /not drained/, fix: /joins anew/ })
  const revoked = { at: now, by: 'operator:ann', evictUntil: now, now: false }
  t.match(ask({ phase: 'left', revoked }), { summary: /removed by operator:ann/, fix: /state folder/ })
})

t.test('whatever is the case there is a sentence, and it fits into its schema', async (t) => {
  const conditions = fc.uniqueArray(
    fc.record({
      type: fc.constantFrom(...conditionTypes),
      status: fc.constantFrom<Condition['status']>('True', 'False', 'Unknown'),
      reason: fc.constantFrom('Because', 'MESH_LAGS', 'ADDRESS_TAKEN', 'POOL_UNKNOWN'),
      message: fc.string({ maxLength: 2_048, minLength: 0 }),
      since: fc.constant(now),
    }),
    { selector: (c) => c.type },
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...phases),
      conditions,
      fc.constantFrom('waiting', 'alive', 'held', 'vanished'),
      fc.boolean(),
      (phase, conditions, state, connected) => {
        const told = ask({ phase, conditions }, { connected, hearing: { state, lastHeard: now } })
        return told.summary.length > 0 && told.summary.length <= 1024 && (told.fix ?? '').length <= 1024
      },
    ),
  )
  t.same(
    [lasting(-5), lasting(119_000), lasting(130_000), lasting(7_300_000), lasting(200_000_000)],
    ['0 s', '119 s', '2 min', '2 h', '2 days'],
  )
})
