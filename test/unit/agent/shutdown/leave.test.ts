import t from 'tap'
import type { DownMessage } from '../../../../agent/client/stream.ts'
import { createLeave } from '../../../../agent/shutdown/leave.ts'
import { createStatusBoard } from '../../../../agent/status.ts'
import type { Up } from '../../../../shared/api/stream.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const order = { kind: 'drain', deadlineMs: 9_000, quietMs: 700, lastEndpoint: false } as const

interface Facts {
  connected?: boolean
  joined?: boolean
  serving?: boolean
  /** What the controller answers to each kind of message. */
  answers?: Partial<Record<Up['kind'], DownMessage>>
  result?: 'quiet' | 'deadline' | Error
}

function scene(facts: Facts = {}) {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  const events: string[] = []
  const listeners = new Set<(message: DownMessage) => void>()
  const hurry = new AbortController()
  const { joined = true, serving = true, result = 'quiet' } = facts
  let { connected = true } = facts
  const answers = facts.answers ?? {
    'drain-request': { ...order, reason: 'shutdown', after: 'leave' },
    left: { kind: 'bye', revoked: false },
  }
  const leave = createLeave({
    stream: {
      get connected() {
        return connected
      },
      send(message) {
        if (!connected) return false
        events.push(`send ${message.kind}`)
        const answer = answers[message.kind]
        if (answer !== undefined) for (const listener of listeners) listener(answer)
        return true
      },
      onMessage(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    drain: {
      async run({ quietMs, deadlineMs }) {
        events.push(`drain ${quietMs} ${deadlineMs}`)
        if (result instanceof Error) throw result
        const open = result === 'quiet' ? 0 : 3
        return { result, openRequests: open, openConnections: open }
      },
    },
    board,
    clock,
    log: silentLog,
    joined: () => joined,
    serving: () => serving,
    settings: () => ({ deadlineSeconds: 15, quietSeconds: 1 }),
    async undo(reason, untold) {
      events.push(`undo ${reason}${untold ? ', untold' : ''}`)
    },
    async told() {
      events.push('told')
    },
    hurry: hurry.signal,
  })
  /** Lets time pass until `work` is done; returns how much it took. */
  const finish = async <T>(work: Promise<T>, meanwhile = () => {}): Promise<{ value: T; ms: number }> => {
    const start = clock.now()
    let value: { done: T } | undefined
    work.then((done) => {
      value = { done }
    })
    while (value === undefined) {
      meanwhile()
      await clock.advance(20)
    }
    return { value: value.done, ms: clock.now() - start }
  }
  const drained = () => board.conditions().find(({ type }) => type === 'Drained')
  const hangUp = () => {
    connected = false
  }
  return { leave, clock, board, events, hurry, finish, drained, hangUp }
}

t.test('by wish: the controller closes first, then everything in its order', async (t) => {
  const { leave, board, events, finish, drained } = scene()
  const { value } = await finish(leave.byWish({ reason: 'shutdown', after: 'leave' }))
  t.equal(value, 'left')
  t.same(events, [
    'send drain-request',
    'drain 700 9000',
    'send drained',
    'undo shutdown, untold',
    'send left',
    'told',
  ])
  t.equal(board.stage, 'left')
  t.match(drained(), { status: 'True', reason: 'Quiet' })
})

t.test('by order, to hold: it stays drained', async (t) => {
  const { leave, board, events, finish } = scene()
  const { value } = await finish(leave.byOrder({ ...order, reason: 'operator', after: 'hold' }))
  t.equal(value, 'held')
  t.same(events, ['drain 700 9000', 'send drained'])
  t.equal(board.stage, 'held')
})

t.test('the deadline came first: it is said what was cut', async (t) => {
  const { leave, events, finish, drained } = scene({ result: 'deadline' })
  await finish(leave.byWish({ reason: 'shutdown', after: 'leave' }))
  t.match(drained(), { status: 'True', reason: 'DRAIN_DEADLINE', message: /3 requests and 3 connections/ })
  t.ok(events.includes('undo shutdown, untold'))
})

t.test('an unreachable controller is waited for, shortly, and the pool’s own limits hold', async (t) => {
  const { leave, events, finish } = scene({ connected: false })
  const { ms } = await finish(leave.byWish({ reason: 'shutdown', after: 'leave' }))
  t.same(events, ['drain 1000 15000', 'undo shutdown, untold'], 'and it is not known there')
  t.ok(ms >= 5_000 && ms < 7_000, `${ms} ms`)
})

t.test('a controller that does not answer is waited for longer, and told again and again', async (t) => {
  const { leave, events, finish } = scene({ answers: {} })
  const { ms } = await finish(leave.byWish({ reason: 'shutdown', after: 'leave' }))
  t.ok(events.filter((event) => event === 'send drain-request').length > 10)
  t.same(
    events.filter((event) => event !== 'send drain-request'),
    ['drain 1000 15000', 'send drained', 'undo shutdown, untold', 'send left'],
  )
  t.ok(ms >= 20_000 && ms < 27_000, `${ms} ms`)
})

t.test('an agent that has not adopted its sidecar yet asks Envoy all the same', async (t) => {
  const { leave, events, finish } = scene({ serving: false })
  await finish(leave.byOrder({ ...order, reason: 'scale-in', after: 'leave' }))
  t.same(events, ['drain 700 9000', 'send drained', 'undo scale-in, untold', 'send left', 'told'])
})

t.test('a controller that closes the stream instead of an answer is not waited for', async (t) => {
  const { leave, events, finish, hangUp } = scene({ answers: {} })
  const leaving = leave.byOrder({ ...order, reason: 'scale-in', after: 'leave' })
  const { ms } = await finish(leaving, () => {
    if (events.includes('send left')) hangUp()
  })
  t.notOk(events.includes('told'))
  t.ok(ms < 1_000, `${ms} ms`)
})

t.test('a VM that nobody knows just takes everything back', async (t) => {
  const { leave, events, finish } = scene({ joined: false, connected: false, serving: false })
  const { ms } = await finish(leave.byWish({ reason: 'shutdown', after: 'leave' }))
  t.same(events, ['undo shutdown'])
  t.ok(ms < 1_000)
})

t.test('hurry cuts every wait, and still takes everything back', async (t) => {
  const { leave, events, hurry, finish } = scene({ answers: {}, result: new Error('aborted') })
  const leaving = leave.byWish({ reason: 'shutdown', after: 'leave' })
  hurry.abort()
  const { ms } = await finish(leaving)
  t.ok(events.includes('undo shutdown, untold'))
  t.ok(ms < 1_000, `${ms} ms`)
})
