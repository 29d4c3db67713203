import fc from 'fast-check'
import t from 'tap'
import { begin, isQuiet, observe, type Sample } from '../../../../agent/shutdown/quiet.ts'

const sample = (at: number, arrived: number, activeRequests = 0, activeConnections = 0): Sample => ({
  at,
  arrived,
  activeRequests,
  activeConnections,
})
const after = ([first, ...rest]: readonly Sample[]) => rest.reduce(observe, begin(first as Sample))

t.test('quiet is a time without anything new, and nothing open', async (t) => {
  t.notOk(isQuiet(after([sample(0, 5)]), 100))
  t.ok(isQuiet(after([sample(0, 5), sample(100, 5)]), 100))
  t.notOk(isQuiet(after([sample(0, 5), sample(50, 6), sample(100, 6)]), 100))
  t.ok(isQuiet(after([sample(0, 5), sample(50, 6), sample(150, 6)]), 100))
  t.notOk(isQuiet(after([sample(0, 5), sample(100, 5, 1)]), 100))
  t.notOk(isQuiet(after([sample(0, 5), sample(100, 5, 0, 1)]), 100))
})

t.test('an Envoy that started anew is something new', async (t) => {
  t.notOk(isQuiet(after([sample(0, 500), sample(100, 0)]), 100))
})

const series = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.nat(3), fc.nat(2), fc.nat(2)), { minLength: 1 })
  .map((steps) => {
    let at = 0
    let arrived = 0
    return steps.map(([wait, came, requests, connections]) => {
      at += wait
      arrived += came
      return sample(at, arrived, requests, connections)
    })
  })

t.test(
  'for any series: quiet exactly when the last samples of that time say the same total and the last is empty',
  async (t) => {
    fc.assert(
      fc.property(series, fc.integer({ min: 1, max: 1000 }), (samples, quietMs) => {
        const last = samples.at(-1) as Sample
        const same = samples.slice(samples.findLastIndex((one) => one.arrived !== last.arrived) + 1)
        const expected =
          last.activeRequests + last.activeConnections === 0 && last.at - (same[0] as Sample).at >= quietMs
        return isQuiet(after(samples), quietMs) === expected
      }),
    )
    t.pass('any series of samples')
  },
)

t.test('for any series: a longer quiet time is never reached before a shorter one', async (t) => {
  fc.assert(
    fc.property(series, fc.nat(1000), fc.nat(1000), (samples, a, b) => {
      const quiet = after(samples)
      return !isQuiet(quiet, Math.max(a, b)) || isQuiet(quiet, Math.min(a, b))
    }),
  )
  t.pass('any series of samples')
})
