import t from 'tap'
import type { DownMessage } from '../../../agent/client/stream.ts'
import { createControllerTime } from '../../../agent/host/clock-skew.ts'
import { createLife } from '../../../agent/life.ts'
import type { Left } from '../../../agent/shutdown/leave.ts'
import { createStatusBoard } from '../../../agent/status.ts'
import type { Up } from '../../../shared/api/stream.ts'
import { MooringError } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeClock } from '../../fakes/clock.ts'

type Order = Extract<DownMessage, { kind: 'drain' }>

const order = (change: Partial<Order> = {}): Order => ({
  ...{ kind: 'drain', reason: 'operator', after: 'leave', deadlineMs: 9_000, quietMs: 700 },
  lastEndpoint: false,
  ...change,
})
const welcome = (now: number): DownMessage => ({
  ...{ kind: 'welcome', wire: 1, epoch: 1, heartbeatMs: 2_000, lostAfterMs: 5_000 },
  ...{ bundleRevision: 'r7', now },
})
const bye = (revoked: boolean): DownMessage => ({ kind: 'bye', revoked })
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A part of a life that works until it is told to stop, or ends as the test says. */
function part<T = void>(name: string, events: string[]) {
  const own = Promise.withResolvers<T>()
  let isRunning = false
  return {
    ...{ fail: own.reject, end: own.resolve },
    get isRunning() {
      return isRunning
    },
    async run(signal: AbortSignal): Promise<T> {
      signal.throwIfAborted()
      isRunning = true
      events.push(`${name} runs`)
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener(
          'abort',
          () => {
            isRunning = false
            events.push(`${name} ends`)
            reject(signal.reason)
          },
          { once: true },
        )
      })
      return Promise.race([own.promise, aborted])
    },
  }
}

function scene({ isJoined = true }: { isJoined?: boolean } = {}) {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  const events: string[] = []
  const said: Up['kind'][] = []
  const logged: string[] = []
  const listeners = new Set<(message: DownMessage) => void>()
  const drains: PromiseWithResolvers<Left>[] = []
  const announced: string[] = []
  const joined = Promise.withResolvers<void>()
  const converge = part('convergence', events)
  const renewals = part('renewals', events)
  const stream = part<'aborted' | 'revoked'>('stream', events)
  const stop = new AbortController()
  const time = createControllerTime(clock)
  let connected = true
  let welcomes = 0
  if (isJoined) joined.resolve()

  /** A way to leave that takes until the test says that it is done. */
  const drain = (what: string): Promise<Left> => {
    events.push(what)
    const done = Promise.withResolvers<Left>()
    drains.push(done)
    return done.promise
  }
  const life = createLife({
    converge: { run: converge.run, wake() {}, undo: async () => {} },
    renewals: { run: renewals.run, announce: (revision) => announced.push(revision) },
    stream: {
      run: stream.run,
      send({ kind }) {
        if (connected) said.push(kind)
        return connected
      },
      onMessage(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      onChange: () => () => {},
      get connected() {
        return connected
      },
      trouble: undefined,
    },
    leave: {
      byWish: ({ reason, after }) => drain(`wish ${reason} ${after}`),
      byOrder: ({ reason, after }) => drain(`order ${reason} ${after}`),
    },
    ...{ board, time, clock, joined: joined.promise },
    log: { ...silentLog, error: (_text, fields) => logged.push(String(fields?.what)) },
    revoke: async () => void events.push('revoke'),
    expelled: async () => void events.push('expelled'),
    welcomed() {
      welcomes += 1
    },
  })
  return {
    ...{ life, board, clock, time, events, said, logged, drains, announced, stop, listeners },
    ...{ parts: { converge, renewals, stream }, join: joined.resolve },
    welcomes: () => welcomes,
    connect(is: boolean) {
      connected = is
    },
    /** Starts it, and lets all parts come up. */
    async run() {
      const ended = life.run(stop.signal)
      await turn()
      events.length = 0
      return { ended }
    },
    async hear(message: DownMessage) {
      for (const listener of [...listeners]) listener(message)
      await turn()
    },
  }
}

t.test('a wish: the work stops, then this VM leaves, and the stream stays until it has', async (t) => {
  const { life, run, drains, events, parts, listeners } = scene()
  const { ended } = await run()
  const done = life.wish({ reason: 'operator', after: 'leave' })
  await turn()
  t.same(events, ['convergence ends', 'renewals ends', 'wish operator leave'])
  t.ok(parts.stream.isRunning, 'the farewell goes through it')
  drains[0]?.resolve('left')
  t.equal(await done, 'left')
  t.equal(await ended, 'left')
  t.notOk(parts.stream.isRunning)
  t.equal(listeners.size, 0)
})

t.test('the controller’s order: it stays away, unless it was a shutdown that is over', async (t) => {
  for (const [reason, end] of [
    ['scale-in', 'left'],
    ['operator', 'left'],
    ['shutdown', 'again'],
  ] as const) {
    const { run, hear, drains, events } = scene()
    const { ended } = await run()
    await hear(order({ reason }))
    t.equal(events.at(-1), `order ${reason} leave`)
    drains[0]?.resolve('left')
    t.equal(await ended, end, reason)
  }
})

t.test('a wish during an order waits for it, and is answered by it', async (t) => {
  const { life, run, hear, drains, events } = scene()
  const { ended } = await run()
  await hear(order({ reason: 'scale-in' }))
  const done = life.wish({ reason: 'operator', after: 'leave' })
  const other = life.wish({ reason: 'operator', after: 'hold' })
  await turn()
  t.equal(drains.length, 1, 'one drain at a time')
  drains[0]?.resolve('left')
  t.same(await Promise.all([done, other, ended]), ['left', 'left', 'left'])
  t.notOk(events.some((event) => event.startsWith('wish')))
})

t.test('held, and then wanted to leave', async (t) => {
  const { life, run, hear, drains, events, parts } = scene()
  const { ended } = await run()
  await hear(order({ after: 'hold' }))
  drains[0]?.resolve('held')
  await turn()
  t.ok(parts.stream.isRunning)
  await hear(order({ after: 'hold' }))
  t.equal(drains.length, 1, 'the order is repeated after every welcome, and drains once')
  t.equal(await life.wish({ reason: 'operator', after: 'hold' }), 'held', 'a wish for it has come true')
  t.equal(drains.length, 1)
  const done = life.wish({ reason: 'operator', after: 'leave' })
  await turn()
  t.equal(events.at(-1), 'wish operator leave')
  drains[1]?.resolve('left')
  t.same(await Promise.all([done, ended]), ['left', 'left'])
})

t.test('held by a wish, and then ordered to leave for a shutdown: somebody wished it away', async (t) => {
  const { life, run, hear, drains } = scene()
  const { ended } = await run()
  const held = life.wish({ reason: 'operator', after: 'hold' })
  await turn()
  drains[0]?.resolve('held')
  t.equal(await held, 'held')
  await hear(order({ reason: 'shutdown' }))
  drains[1]?.resolve('left')
  t.equal(await ended, 'left')
})

t.test('the controller gave this VM up: it comes again, and whoever waits is answered', async (t) => {
  const { life, run, hear, events } = scene()
  const { ended } = await run()
  const heard = hear(bye(false))
  const done = life.wish({ reason: 'operator', after: 'leave' })
  await heard
  t.equal(await ended, 'again')
  t.equal(await done, 'left')
  t.same(events.slice(0, 3), ['convergence ends', 'renewals ends', 'expelled'])
})

t.test('a revoked key, whoever finds it out: everything is taken back', async (t) => {
  const finders: Record<string, (world: ReturnType<typeof scene>) => unknown> = {
    'a bye': ({ hear }) => hear(bye(true)),
    'the end of the stream': ({ parts }) => parts.stream.end('revoked'),
    convergence: ({ parts }) => parts.converge.fail(new MooringError('KEY_REVOKED')),
    renewals: ({ parts }) => parts.renewals.fail(new MooringError('KEY_REVOKED')),
  }
  for (const [who, find] of Object.entries(finders)) {
    const world = scene()
    const { ended } = await world.run()
    await find(world)
    t.equal(await ended, 'revoked', who)
    t.equal(world.events.filter((event) => event === 'revoke').length, 1, who)
    t.ok(world.events.indexOf('convergence ends') < world.events.indexOf('revoke'), who)
    t.notOk(world.parts.stream.isRunning)
    t.same(world.logged, [], 'it is no fault of that part')
  }
})

t.test('revoked in the middle of a drain: the drain is finished first', async (t) => {
  const { run, hear, drains, events } = scene()
  const { ended } = await run()
  await hear(order({ after: 'hold' }))
  await hear(bye(true))
  t.notOk(events.includes('revoke'))
  drains[0]?.resolve('held')
  t.equal(await ended, 'revoked')
})

t.test('a stop asks it to leave, before or while it lives', async (t) => {
  for (const when of ['before', 'while'] as const) {
    const { life, stop, drains, events } = scene()
    if (when === 'before') stop.abort()
    const ended = life.run(stop.signal)
    await turn()
    stop.abort()
    await turn()
    t.equal(events.at(-1), 'wish shutdown leave', when)
    drains[0]?.resolve('left')
    t.equal(await ended, 'left')
  }
})

t.test('a stop before this VM has joined: no stream was opened, and nobody waits for the join', async (t) => {
  const { run, stop, drains, events, parts, join } = scene({ isJoined: false })
  const { ended } = await run()
  t.notOk(parts.stream.isRunning)
  t.notOk(parts.renewals.isRunning)
  stop.abort()
  await turn()
  t.equal(events.at(-1), 'wish shutdown leave')
  drains[0]?.resolve('left')
  t.equal(await ended, 'left')
  join()
  await turn()
  t.notOk(parts.stream.isRunning, 'nor is one opened when the join comes too late')
})

t.test('once this VM has joined, stream and renewals begin', async (t) => {
  const { run, join, events } = scene({ isJoined: false })
  await run()
  join()
  await turn()
  t.same(events.toSorted(), ['renewals runs', 'stream runs'])
})

t.test('a part that ends by a fault is told of, and the others go on', async (t) => {
  const { life, run, logged, parts, drains } = scene()
  const { ended } = await run()
  parts.converge.fail(new TypeError('x is undefined'))
  parts.renewals.fail(new MooringError('INTERNAL'))
  await turn()
  t.same(logged.toSorted(), ['convergence', 'renewals'])
  t.ok(parts.stream.isRunning)
  parts.stream.fail(new MooringError('INTERNAL'))
  await turn()
  t.ok(logged.includes('stream'))
  const done = life.wish({ reason: 'operator', after: 'leave' })
  await turn()
  drains[0]?.resolve('left')
  t.same(await Promise.all([done, ended]), ['left', 'left'], 'it can still leave')
})

t.test('a status that changed between hello and welcome is said after the welcome', async (t) => {
  const { run, hear, board, said, connect, clock } = scene()
  await run()
  connect(false)
  board.setHealth('healthy')
  await turn()
  t.same(said, [])
  connect(true)
  await hear(welcome(clock.now()))
  t.same(said, ['status'])
  await hear(welcome(clock.now()))
  t.same(said, ['status'], 'what the hello has said is not repeated')
  board.setHealth('unhealthy')
  await turn()
  t.same(said, ['status', 'status'])
})

t.test('every word of the controller is passed on', async (t) => {
  const { run, hear, time, clock, announced, welcomes } = scene()
  await run()
  await hear(welcome(clock.now() - 600_000))
  t.equal(welcomes(), 1)
  t.ok(Math.abs((time.skewMs() ?? 0) - 600_000) <= 1_000, 'its clock')
  await hear({ kind: 'refresh', bundleRevision: 'r8' })
  t.same(announced, ['r7', 'r8'])
})

t.test('after its end it says and hears nothing more', async (t) => {
  const { run, hear, board, said, listeners } = scene()
  const { ended } = await run()
  await hear(bye(false))
  await ended
  said.length = 0
  board.setHealth('healthy')
  await turn()
  t.same(said, [])
  t.equal(listeners.size, 0)
})
