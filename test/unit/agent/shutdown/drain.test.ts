import t from 'tap'
import { createEffects } from '../../../../agent/effects.ts'
import { createDrain, type DrainProgress } from '../../../../agent/shutdown/drain.ts'
import type { InboundCount } from '../../../../agent/sidecar/statistics.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

// Envoy as a function of time; the real one is in test/e2e/agent/drain.test.ts.
function world(count: (ms: number) => Partial<InboundCount>, drainFails = false) {
  const clock = createFakeClock()
  const start = clock.now()
  const drainedAt: number[] = []
  const effects: string[] = []
  const drain = createDrain({
    clock,
    log,
    effects: createEffects({ after: (name) => effects.push(name) }),
    envoy: {
      inbound: async () => ({
        activeRequests: 0,
        activeConnections: 0,
        arrived: 0,
        ...count(clock.now() - start),
      }),
      drain: async () => {
        drainedAt.push(clock.now() - start)
        if (drainFails) throw new Error('Envoy does not answer')
      },
    },
  })
  const progress: DrainProgress[] = []
  const stop = new AbortController()
  const run = async (quietMs: number, deadlineMs: number) => {
    const running = drain.run({
      quietMs,
      deadlineMs,
      signal: stop.signal,
      onProgress: (one) => progress.push(one),
    })
    await clock.advance(0)
    await clock.advance(deadlineMs + 60_000)
    return { ...(await running), tookMs: progress.length * 100 }
  }
  return { run, drain, drainedAt, progress, effects, clock, stop }
}

t.test('nothing comes and nothing is open: quiet after the quiet time', async (t) => {
  const { run, drainedAt, effects } = world(() => ({}))
  t.match(await run(1000, 15_000), { result: 'quiet', openRequests: 0, openConnections: 0 })
  t.same(drainedAt, [1000])
  t.same(effects, ['drain-started'])
})

t.test('while requests come Envoy is left alone; the deadline ends it', async (t) => {
  const { run, drainedAt } = world((ms) => ({ arrived: ms, activeRequests: 2 }))
  t.match(await run(500, 3000), { result: 'deadline', openRequests: 2 })
  t.same(drainedAt, [3000], 'told at the end, for what it is worth')
})

t.test('long requests do not hold back the drain, but the end of it', async (t) => {
  const { run, drainedAt, progress } = world((ms) => ({ activeRequests: ms < 8000 ? 1 : 0 }))
  t.match(await run(500, 15_000), { result: 'quiet' })
  t.same(drainedAt, [500])
  t.same(new Set(progress.map(({ stage }) => stage)), new Set(['settling', 'finishing']))
  t.match(progress.at(-2), { stage: 'finishing', openRequests: 1 })
})

t.test('a late request begins the quiet time anew', async (t) => {
  const { run, progress } = world((ms) => ({
    activeRequests: ms < 3000 ? 1 : 0,
    arrived: ms < 2900 ? 1 : 2,
  }))
  t.match(await run(500, 15_000), { result: 'quiet' })
  t.equal(progress.length - 1, 34, 'half a second after it, not at the end of the open one')
})

t.test('what is open at the deadline is said', async (t) => {
  const { run } = world(() => ({ activeConnections: 3 }))
  t.match(await run(500, 2000), { result: 'deadline', openRequests: 0, openConnections: 3 })
})

t.test('a deadline of zero is now', async (t) => {
  const { run, drainedAt } = world(() => ({ activeRequests: 1 }))
  t.match(await run(500, 0), { result: 'deadline', openRequests: 1 })
  t.same(drainedAt, [0])
})

t.test('an Envoy that is gone has nothing open', async (t) => {
  const gone = world(() => {
    throw new Error('ECONNREFUSED')
  })
  t.match(await gone.run(500, 15_000), { result: 'quiet', openRequests: 0, openConnections: 0 })
  const hiccup = world((ms) => {
    if (ms === 200) throw new Error('ECONNRESET')
    return {}
  })
  t.match(await hiccup.run(500, 15_000), { result: 'quiet' })
  t.match(
    await world(() => ({}), true).run(500, 15_000),
    { result: 'quiet' },
    'a drain that is refused is no obstacle',
  )
})

t.test('it ends when it is aborted', async (t) => {
  const { drain, stop, clock } = world(() => ({ activeRequests: 1 }))
  const running = drain.run({ quietMs: 500, deadlineMs: 60_000, signal: stop.signal })
  await clock.untilSleeping()
  stop.abort(new Error('stopped'))
  await t.rejects(running, { message: 'stopped' })
})
