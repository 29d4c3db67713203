import fc from 'fast-check'
import t from 'tap'
import { createAlarms } from '../../../../controller/fleet/alarms.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function ringing() {
  const clock = createFakeClock()
  const rung: [string, number][] = []
  const begin = clock.now()
  const alarms = createAlarms({ clock, ring: (key) => rung.push([key, clock.now() - begin]) })
  return { clock, alarms, rung, begin }
}

t.test('alarms ring in the order of their times, behind one timer', async (t) => {
  const { clock, alarms, rung, begin } = ringing()
  alarms.set('late', begin + 300)
  alarms.set('early', begin + 100)
  alarms.set('middle', begin + 200)
  t.equal(clock.sleepers, 1)
  await clock.advance(1_000)
  t.same(rung, [
    ['early', 100],
    ['middle', 200],
    ['late', 300],
  ])
  t.equal(clock.sleepers, 0)
})

t.test('an alarm that is set anew rings at its new time only, earlier or later', async (t) => {
  const { clock, alarms, rung, begin } = ringing()
  alarms.set('a', begin + 100)
  alarms.set('a', begin + 300)
  alarms.set('b', begin + 300)
  alarms.set('b', begin + 50)
  await clock.advance(1_000)
  t.same(rung, [
    ['b', 50],
    ['a', 300],
  ])
})

t.test('a cleared alarm does not ring, and nothing does after closing', async (t) => {
  const { clock, alarms, rung, begin } = ringing()
  alarms.set('a', begin + 100)
  alarms.set('b', begin + 200)
  alarms.clear('a')
  t.equal(alarms.at('a'), undefined)
  await clock.advance(150)
  t.same(rung, [])
  alarms.close()
  await clock.advance(1_000)
  t.same(rung, [])
  t.equal(clock.sleepers, 0)
})

t.test('an alarm many days ahead rings, though no timer can be that long', async (t) => {
  const { clock, alarms, rung, begin } = ringing()
  alarms.set('a', begin + 40 * 86_400_000)
  await clock.advance(41 * 86_400_000)
  t.same(rung, [['a', 40 * 86_400_000]])
})

t.test('it says how late it is when the process did not run', async (t) => {
  let now = 0
  let wake = () => {}
  const late: number[] = []
  const alarms = createAlarms({
    clock: {
      now: () => now,
      sleep: () =>
        new Promise((resolve) => {
          wake = resolve
        }),
    },
    ring: (_key, lateMs) => late.push(lateMs),
  })
  alarms.set('a', 100)
  now = 7_100
  wake()
  await new Promise((resolve) => setImmediate(resolve))
  t.same(late, [7_000])
})

t.test('for any history, each key rings exactly when its last setting says', async (t) => {
  const change = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    at: fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 120 }), async (changes) => {
      const { clock, alarms, rung, begin } = ringing()
      const model = new Map<string, number>()
      for (const { key, at } of changes) {
        if (at === undefined) {
          alarms.clear(key)
          model.delete(key)
        } else {
          alarms.set(key, begin + at)
          model.set(key, at)
        }
      }
      await clock.advance(600)
      const sorted = (list: Iterable<[string, number]>) => [...list].sort().join()
      return sorted(rung) === sorted(model) && rung.every(([, at], i) => at >= (rung[i - 1]?.[1] ?? 0))
    }),
  )
  t.pass('model and alarms agree')
})
