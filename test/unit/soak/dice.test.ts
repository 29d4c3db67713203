import fc from 'fast-check'
import t from 'tap'
import { createDice } from '../../soak/dice.ts'

t.test('the same seed gives the same throws', async (t) => {
  const throws = (seed: number) => {
    const dice = createDice(seed)
    return Array.from({ length: 20 }, () => dice.next())
  }
  t.same(throws(7), throws(7))
  t.strictNotSame(throws(7), throws(8))
})

t.test('throws stay inside their bounds', async (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: -50, max: 50 }), fc.nat(50), (seed, low, span) => {
      const thrown = createDice(seed).between(low, low + span)
      return Number.isInteger(thrown) && thrown >= low && thrown <= low + span
    }),
  )
  t.throws(() => createDice(1).pick([]), /nothing to pick/)
  t.equal(createDice(1).pick(['only']), 'only')
})
