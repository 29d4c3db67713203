import fc from 'fast-check'
import t from 'tap'
import { schedule } from '../../run/schedule.ts'

t.test(
  'every item is worked on once, in order of results, and never more than asked at a time',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (items, jobs) => {
          let running = 0
          let most = 0
          const results = await schedule([...items.entries()], jobs, async ([index, ticks]) => {
            running += 1
            most = Math.max(most, running)
            for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
            running -= 1
            return index
          })
          return (
            most <= jobs &&
            results.every((result, index) => result === index) &&
            results.length === items.length
          )
        },
      ),
    )
    t.pass('for all lists and numbers of jobs')
  },
)
