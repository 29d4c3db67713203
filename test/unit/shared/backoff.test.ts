import fc from 'fast-check'
import t from 'tap'
import { createBackoff } from '../../../shared/backoff.ts'

const options = fc
  .record({
    baseMs: fc.integer({ min: 1, max: 10_000 }),
    grow: fc.integer({ min: 1, max: 1000 }),
    floor: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ baseMs, grow, floor }) => ({ baseMs, maxMs: baseMs * grow, floorMs: Math.floor(baseMs * floor) }))
const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
  minLength: 1,
  maxLength: 60,
})

t.test('every delay is between the floor and the cap, however long it goes on', async (t) => {
  fc.assert(
    fc.property(options, draws, (given, randoms) => {
      const queue = [...randoms]
      const backoff = createBackoff({ ...given, random: () => queue.shift() ?? 0.5 })
      return randoms.every((_, attempt) => {
        const cap = Math.min(given.maxMs, given.baseMs * 2 ** attempt)
        const delay = backoff.next()
        return Number.isInteger(delay) && delay >= given.floorMs && delay <= Math.max(cap, given.floorMs)
      })
    }),
  )
  t.pass('for all options and draws')
})

t.test('the cap doubles up to its limit', async (t) => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 1000, random: () => 0.9999999 })
  t.same(
    Array.from({ length: 6 }, () => backoff.next()),
    [100, 200, 400, 800, 1000, 1000],
  )
  t.equal(backoff.attempts, 6)
})

t.test('the whole range is used: a herd is spread, not only delayed', async (t) => {
  const low = createBackoff({ baseMs: 1000, maxMs: 1000, random: () => 0 })
  t.equal(low.next(), 0)
  t.equal(createBackoff({ baseMs: 1000, maxMs: 1000, floorMs: 300, random: () => 0 }).next(), 300)
})

t.test('a success starts over', async (t) => {
  fc.assert(
    fc.property(options, fc.integer({ min: 0, max: 80 }), (given, failures) => {
      const used = createBackoff({ ...given, random: () => 0.5 })
      for (let i = 0; i < failures; i += 1) used.next()
      used.reset()
      return used.attempts === 0 && used.next() === createBackoff({ ...given, random: () => 0.5 }).next()
    }),
  )
  t.pass('after any number of failures')
})
