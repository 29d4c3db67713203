import t from 'tap'
import { createApplicationWatch } from '../../../../agent/health/application.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function world(results: boolean[]) {
  const clock = createFakeClock()
  const times: number[] = []
  const start = clock.now()
  const watch = createApplicationWatch({
    clock,
    random: () => 0.999_999,
    probe: async () => {
      times.push(clock.now() - start)
      const ok = results.length > 1 ? (results.shift() ?? false) : (results[0] ?? false)
      return { ok, detail: ok ? 'fine' : 'broken' }
    },
  })
  const changes: string[] = []
  watch.onChange(({ verdict }) => changes.push(verdict))
  return { clock, times, watch, changes, stop: new AbortController() }
}

t.test('the first probe comes at once, then quickly until it is well, then every period', async (t) => {
  const { clock, times, watch, changes, stop } = world([false, false, false, true])
  watch.watch({ tcp: { port: 1 }, periodSeconds: 2 }, stop.signal)
  await clock.untilSleeping()
  await clock.advance(5000)
  t.same(times, [0, 100, 300, 700, 2700, 4700])
  t.same(changes, ['unhealthy', 'healthy'])
  stop.abort()
  await clock.advance(60_000)
  t.equal(times.length, 6)
})

t.test('a failure in the middle of life is looked at again soon', async (t) => {
  const { clock, times, watch, changes, stop } = world([true, false, false, true])
  watch.watch({ tcp: { port: 1 }, periodSeconds: 10 }, stop.signal)
  await clock.untilSleeping()
  await clock.advance(11_000)
  t.same(times, [0, 10_000, 10_100, 10_300])
  t.same(
    changes.filter((verdict, i) => verdict !== changes[i - 1]),
    ['healthy', 'unhealthy', 'healthy'],
  )
  stop.abort()
})

t.test('without a probe the sidecar alone counts', async (t) => {
  const { watch, times, stop } = world([false])
  watch.watch(undefined, stop.signal)
  t.equal(watch.judgement().verdict, 'healthy')
  watch.watch({}, stop.signal)
  t.equal(watch.judgement().verdict, 'healthy')
  t.same(times, [])
})

t.test('another probe takes the place of the old one', async (t) => {
  const { clock, times, watch, stop } = world([true])
  watch.watch({ tcp: { port: 1 }, periodSeconds: 1 }, stop.signal)
  await clock.advance(0)
  watch.watch({ tcp: { port: 2 }, periodSeconds: 5 }, stop.signal)
  t.equal(watch.judgement().verdict, 'unknown')
  await clock.advance(0)
  await clock.advance(4999)
  t.same(times, [0, 0])
  t.equal(clock.sleepers, 1)
  stop.abort()
})
