import fc from 'fast-check'
import t from 'tap'
import { median, percentile, rounded } from '../../bench/percentile.ts'

t.test('percentiles lie between samples, by straight line', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(percentile([10, 20, 30, 40, 50, 60, 70, 80, 90, 100], 0.9), 91)
  t.equal(percentile([7], 0.9), 7)
  t.ok(Number.isNaN(percentile([], 0.5)), 'nothing was measured')
  t.equal(rounded(1.2345, 2), 1.23)
})

t.test(
  'a percentile is between the smallest and the largest sample, grows with its share, and needs no order',
  async (t) => {
    const samples = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 })
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(samples, share, share, (list, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const tiny = 1e-6
        const at = percentile(list, low)
        return (
          at >= Math.min(...list) - tiny &&
          at <= Math.max(...list) + tiny &&
          at <= percentile(list, high) + tiny &&
          at === percentile(list.toReversed(), low)
        )
      }),
    )
    t.pass('held for every list that was tried')
  },
)
