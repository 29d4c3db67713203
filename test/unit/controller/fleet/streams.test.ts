import fc from 'fast-check'
import t from 'tap'
import { createListening } from '../../../../controller/fleet/listening.ts'
import { createStreams } from '../../../../controller/fleet/streams.ts'
import { createMetrics } from '../../../../controller/metrics.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { type TestSocket, testSocket } from '../../../fakes/stream-socket.ts'
import { status } from './situations.ts'

function listening() {
  const clock = createFakeClock()
  const events: string[] = []
  let heard = 0
  let judgement: 'same' | 'wait' | 'clone' = 'same'
  const judged: string[] = []
  const listening = createListening({ clock })
  const streams = createStreams({
    clock,
    listening,
    log: silentLog,
    metrics: createMetrics(),
    heard: () => {
      heard += 1
    },
    takeover: {
      judge(vm, old, newcomer) {
        if (old === undefined) return 'same'
        judged.push(`${vm} ${old.address}/${old.bootId} ${newcomer.address}/${newcomer.bootId}`)
        return judgement
      },
    },
    changed: (vm, urgency) => events.push(`${vm} ${urgency}`),
  })
  const judge = (next: typeof judgement) => {
    judgement = next
  }
  const attach = (vm = 'vm-1') => {
    const socket = testSocket()
    const certificateUntil = clock.now() + 3_600_000
    streams.attach(socket, { vm, keyThumbprint: 'key-1', address: '10.0.0.1', certificateUntil })
    return socket
  }
  const greet = (socket: TestSocket, changes: Record<string, unknown> = {}) =>
    socket.say({ kind: 'hello', wire: 1, agentVersion: '1', bootId: 'b', status: status(), ...changes })
  const welcome = (vm = 'vm-1', epoch = 1) => {
    const session = streams.session(vm)
    if (session === undefined) return false
    const message = {
      wire: 1,
      epoch,
      heartbeatMs: 2_000,
      lostAfterMs: 5_000,
      bundleRevision: 'r1',
      now: 0,
    }
    return streams.send(vm, session, { kind: 'welcome', ...message })
  }
  return { clock, streams, events, attach, greet, welcome, judge, judged, heard: () => heard }
}

t.test('hello must come first, and soon', async (t) => {
  const { clock, attach, streams } = listening()
  const hasty = attach()
  hasty.say({ kind: 'heartbeat' })
  t.equal(hasty.closed?.code, 4400)
  const mute = attach()
  await clock.advance(14_999)
  t.equal(mute.closed, undefined)
  await clock.advance(1)
  t.equal(mute.closed?.code, 4503, 'it may come back at once')
  t.equal(streams.open, 0)
})

t.test('a hello that waits unread while the controller stands still is in time', async (t) => {
  const { clock, attach, greet, streams } = listening()
  const [reader, late, mute] = [attach('vm-1'), attach('vm-2'), attach('vm-3')]
  await clock.advance(5_000)
  clock.stall(60_000)
  await clock.advance(0)
  t.equal(reader.closed, undefined, 'timers come first')
  greet(reader)
  await clock.advance(5_000)
  // Over before the timer is due: not even the timer is late.
  clock.stall(4_000)
  await clock.advance(400)
  t.equal(late.closed, undefined)
  greet(late)
  await clock.advance(15_000)
  t.equal(mute.closed?.code, 4503, 'one that says nothing is not waited for for ever')
  t.equal(streams.open, 2)
})

t.test('after hello no clock runs against it', async (t) => {
  const { clock, attach, greet, events, streams } = listening()
  const socket = attach()
  greet(socket)
  await clock.advance(60_000)
  t.equal(socket.closed, undefined)
  t.same(events, ['vm-1 now'])
  t.match(streams.session('vm-1'), { state: 'greeting', epoch: 0, keyThumbprint: 'key-1' })
  t.equal(clock.sleepers, 2, 'but those of the process itself and of the certificates')
})

t.test('an agent of another age is told so, whatever the shape of its hello', async (t) => {
  const { attach } = listening()
  const socket = attach()
  socket.say({ kind: 'hello', wire: 9, state: 'something else' })
  t.equal(socket.closed?.code, 4426)
  const near = attach()
  near.say({ kind: 'hello', wire: 2, agentVersion: '2', bootId: 'b', status: status(), news: [1] })
  t.equal(near.closed, undefined, 'one version of difference works, and unknown keys are ignored')
})

t.test('what breaks the schema ends the stream; a kind from the future does not', async (t) => {
  const bad: [what: string, message: string | Record<string, unknown>][] = [
    ['no JSON', '{'],
    ['no object', '"heartbeat"'],
    ['null', 'null'],
    ['no kind', {}],
    ['a kind that is no text', { kind: 7 }],
    ['a kind without end', { kind: 'x'.repeat(100) }],
    ['a status of wrong shape', { kind: 'status', status: { health: 'fine' } }],
    ['a fact that is too long', { kind: 'facts', facts: { os: 'x'.repeat(300) } }],
    ['too large a message', JSON.stringify({ kind: 'future', text: 'x'.repeat(70_000) })],
    ['a second hello', { kind: 'hello', wire: 1, agentVersion: '1', bootId: 'b', status: status() }],
  ]
  for (const [what, message] of bad) {
    const { attach, greet } = listening()
    const socket = attach()
    greet(socket)
    socket.say(message)
    t.equal(socket.closed?.code, 4400, what)
  }
  const { attach, greet, events } = listening()
  const socket = attach()
  greet(socket)
  socket.say({ kind: 'telemetry', anything: true })
  t.equal(socket.closed, undefined)
  t.same(events, ['vm-1 now'])
})

t.test('the newest hello takes over; what the old stream says or its end is no event', async (t) => {
  const { attach, greet, events, streams, heard } = listening()
  const old = attach()
  greet(old)
  const fresh = attach()
  t.equal(old.closed, undefined, 'a connection alone takes nothing over')
  greet(fresh)
  t.equal(old.closed?.code, 4001)
  t.same(events, ['vm-1 now', 'vm-1 now'])
  const spoken = heard()
  old.say({ kind: 'left' })
  old.say({ kind: 'heartbeat' })
  old.hangUp()
  t.equal(events.length, 2)
  t.equal(heard(), spoken)
  t.equal(streams.session('vm-1')?.state, 'greeting')
  t.equal(streams.session('vm-1')?.left, false)
  t.equal(streams.open, 1)
})

t.test('heartbeats are heard and cause no work; transitions are urgent, the rest is not', async (t) => {
  const { attach, greet, events, heard } = listening()
  const socket = attach()
  greet(socket)
  events.length = 0
  socket.say({ kind: 'heartbeat' })
  t.same(events, [])
  t.equal(heard(), 2)
  socket.say({ kind: 'status', status: status({ health: 'healthy' }) })
  socket.say({ kind: 'status', status: status({ health: 'healthy', sidecarRestarts: 1 }) })
  const condition = { type: 'SidecarReady', status: 'True', reason: 'Ready', message: 'a' } as const
  socket.say({ kind: 'status', status: status({ health: 'healthy', conditions: [condition] }) })
  socket.say({
    kind: 'status',
    status: status({ health: 'healthy', conditions: [{ ...condition, message: 'b' }] }),
  })
  socket.say({ kind: 'facts', facts: { os: 'Debian' } })
  socket.say({ kind: 'drain-request', reason: 'shutdown', after: 'leave' })
  socket.hangUp()
  t.same(
    events.map((e) => e.split(' ')[1]),
    ['now', 'soon', 'now', 'soon', 'soon', 'now', 'soon'],
  )
})

t.test('facts are bounded and made printable', async (t) => {
  const { attach, greet, streams } = listening()
  const socket = attach()
  greet(socket)
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`fact-${i}`, '\u001b[2Jx']))
  socket.say({ kind: 'facts', facts: many })
  const facts = streams.session('vm-1')?.facts ?? {}
  t.equal(Object.keys(facts).length, 64)
  t.equal(facts['fact-0'], ' [2Jx')
})

t.test('a flood ends the stream; the shortest allowed heartbeat does not', async (t) => {
  const { clock, attach, greet } = listening()
  const steady = attach('vm-2')
  greet(steady)
  for (let i = 0; i < 600; i += 1) {
    steady.say({ kind: 'heartbeat' })
    await clock.advance(100)
  }
  t.equal(steady.closed, undefined)
  const flooding = attach()
  greet(flooding)
  for (let i = 0; i < 200 && flooding.closed === undefined; i += 1) flooding.say({ kind: 'heartbeat' })
  t.equal(flooding.closed?.code, 4503)
})

t.test('a message goes only into the stream for which it was planned', async (t) => {
  const { attach, greet, streams, welcome } = listening()
  const old = attach()
  greet(old)
  t.equal(welcome('vm-1', 1), true)
  const planned = streams.session('vm-1')
  if (planned === undefined) return t.fail('there is a session')
  const refresh = () => streams.send('vm-1', planned, { kind: 'refresh', bundleRevision: 'r2' })
  t.equal(refresh(), true)
  const fresh = attach()
  greet(fresh)
  t.equal(refresh(), false)
  t.equal(welcome('vm-1', 2), true)
  t.equal(refresh(), false)
  t.same(
    fresh.received.map((m) => m.kind),
    ['welcome'],
  )
  t.match(streams.session('vm-1'), { state: 'open', epoch: 2 })
  fresh.hangUp()
  t.equal(welcome(), false)
})

t.test('after a farewell nothing that was said counts any more', async (t) => {
  const { attach, greet, streams } = listening()
  const socket = attach()
  greet(socket)
  socket.say({ kind: 'left' })
  t.equal(streams.session('vm-1')?.left, true)
  streams.farewell('vm-1', false)
  t.same(socket.received, [{ kind: 'bye', revoked: false }])
  t.same(socket.closed, { code: 1000, reason: 'left' })
  t.equal(streams.session('vm-1'), undefined)
  streams.farewell('vm-1', false)
  const other = attach()
  greet(other)
  streams.reject('vm-1')
  t.equal(other.closed?.code, 4003)
  t.equal(streams.session('vm-1'), undefined)
})

t.test('closing asks every agent to come back later', async (t) => {
  const { attach, greet, streams, clock } = listening()
  const sockets = [attach('vm-1'), attach('vm-2')]
  for (const socket of sockets) greet(socket)
  const mute = attach('vm-3')
  streams.close()
  for (const socket of [...sockets, mute]) t.equal(socket.closed?.code, 4503)
  t.equal(streams.open, 0)
  await clock.advance(0)
  t.equal(clock.sleepers, 1)
})

t.test('no text from an agent does more than end its own stream', async (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map((o) => JSON.stringify(o)),
        ),
      ),
      (texts) => {
        const { attach, greet, streams } = listening()
        const other = attach('vm-2')
        greet(other)
        const socket = attach()
        greet(socket)
        for (const text of texts) socket.say(text)
        return other.closed === undefined && streams.session('vm-2')?.state === 'greeting'
      },
    ),
  )
  t.pass('held for random texts')
})

t.test('a stream that may not take over is sent away, and the old one is listened to', async (t) => {
  const { attach, greet, judge, judged, events } = listening()
  const old = attach()
  greet(old)
  for (const [judgement, code] of [
    ['wait', 4503],
    ['clone', 4001],
  ] as const) {
    judge(judgement)
    const newcomer = attach()
    greet(newcomer, { bootId: 'c' })
    t.equal(newcomer.closed?.code, code, judgement)
    t.equal(old.closed, undefined)
  }
  t.same(judged, Array(2).fill('vm-1 10.0.0.1/b 10.0.0.1/c'))
  const before = events.length
  old.say({ kind: 'status', status: { ...status(), health: 'unhealthy' } })
  t.ok(events.length > before, 'what the old one says still counts')
})

t.test(
  'a stream ends with the certificate that opened it, and the agent may come back at once',
  async (t) => {
    const { clock, attach, greet, streams, events } = listening()
    const first = attach()
    greet(first)
    await clock.advance(1_800_000)
    const other = attach('vm-2')
    greet(other)
    await clock.advance(1_799_999)
    t.equal(first.closed, undefined)
    events.length = 0
    await clock.advance(1)
    t.same(first.closed, { code: 4503, reason: 'the certificate has ended' })
    t.same(events, ['vm-1 soon'], 'its end is no loss')
    t.equal(streams.open, 1, 'and no other stream has to do with it')
    const renewed = attach()
    greet(renewed)
    await clock.advance(1_800_000)
    t.equal(other.closed?.code, 4503)
    t.equal(renewed.closed, undefined)
  },
)
