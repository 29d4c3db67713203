import t from 'tap'
import { createSignOfLife } from '../../../../agent/host/sign-of-life.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const minute = 60_000

function world(watchdogMs: number | undefined) {
  const clock = createFakeClock()
  const stop = new AbortController()
  const over = new AbortController()
  const said: string[] = []
  const notify = {
    ready: () => said.push('ready'),
    status: (text: string) => said.push(text),
    stopping: () => said.push('stopping'),
    alive: () => said.push('alive'),
    extend: (ms: number) => said.push(`extend ${ms}`),
  }
  const sign = createSignOfLife({ notify, watchdogMs, stop: stop.signal, clock })
  return { clock, stop, over, said, sign, run: sign.run(over.signal) }
}

t.test('it says so several times in a period', async (t) => {
  const { clock, over, said, run } = world(minute)
  await clock.advance(minute)
  t.ok(said.filter((word) => word === 'alive').length >= 3, said.join())
  over.abort()
  await run
  const before = said.length
  await clock.advance(minute)
  t.equal(said.length, before)
})

t.test('it falls silent when the work stands still, and not when there is none', async (t) => {
  const { clock, over, said, sign, run } = world(minute)
  const work = Promise.withResolvers<string>()
  const worked = sign.during(work.promise)
  await clock.advance(15 * minute)
  sign.mark()
  await clock.advance(15 * minute)
  said.length = 0
  await clock.advance(5 * minute)
  said.length = 0
  await clock.advance(5 * minute)
  t.same(said, [], 'twenty minutes without progress')
  sign.mark()
  await clock.advance(minute)
  t.match(said, ['alive'])
  work.resolve('done')
  t.equal(await worked, 'done')
  said.length = 0
  await clock.advance(60 * minute)
  t.ok(said.length > 100, 'a VM that left has nothing to do')
  over.abort()
  await run
})

t.test('while it ends it asks for time, also without a watchdog', async (t) => {
  const { clock, stop, over, said, run } = world(undefined)
  await clock.advance(minute)
  t.same(said, [])
  stop.abort()
  t.same(said, ['stopping', 'extend 60000'])
  await clock.advance(minute)
  t.ok(said.filter((word) => word === 'extend 60000').length >= 4)
  over.abort()
  await run
})
