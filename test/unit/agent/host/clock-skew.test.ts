import fc from 'fast-check'
import t from 'tap'
import { createControllerTime, skewOf, skewWarning } from '../../../../agent/host/clock-skew.ts'

t.test('what the way took is no skew', async (t) => {
  t.equal(skewOf({ theirs: 150, sentAt: 100, receivedAt: 200 }), 0)
  t.equal(skewOf({ theirs: 50, sentAt: 100, receivedAt: 200 }), 50, 'ahead')
  t.equal(skewOf({ theirs: 250, sentAt: 100, receivedAt: 200 }), -50, 'behind')
})

t.test('the true skew is never overstated', async (t) => {
  const ms = fc.integer({ min: 0, max: 10_000 })
  fc.assert(
    fc.property(fc.integer({ min: -1e9, max: 1e9 }), ms, ms, (skew, there, back) => {
      const sentAt = 2e9
      const found = skewOf({ theirs: sentAt + there - skew, sentAt, receivedAt: sentAt + there + back })
      return Math.abs(found) <= Math.abs(skew) && found * skew >= 0
    }),
  )
  t.pass('it is not')
})

t.test('more than a minute is worth a warning that says which way', async (t) => {
  t.equal(skewWarning(undefined), undefined)
  t.equal(skewWarning(60_000), undefined)
  t.equal(skewWarning(600_000), "the clock of this VM is 600 s ahead of the controller's")
  t.equal(skewWarning(-61_000), "the clock of this VM is 61 s behind the controller's")
})

t.test('the controller’s time is this clock without its skew', async (t) => {
  let now = 1_000_000
  const time = createControllerTime({ now: () => now })
  t.equal(time.now(), 1_000_000)
  t.equal(time.skewMs(), undefined)
  time.observe({ theirs: 400_000, sentAt: now, receivedAt: now })
  now += 5_000
  t.equal(time.now(), 405_000)
})
