import fc from 'fast-check'
import t from 'tap'
import { createListening } from '../../../../controller/fleet/listening.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

t.test('all time counts while the process runs', async (t) => {
  const clock = createFakeClock()
  const listening = createListening({ clock })
  const since = clock.now()
  await clock.advance(12_345)
  t.equal(listening.since(since), 12_345)
  t.equal(listening.since(since + 12_000), 345)
  t.equal(listening.since(clock.now() + 1_000), 0, 'a time to come')
  listening.close()
  t.equal(clock.sleepers, 0)
})

t.test('a standstill is known at once, also before the look that is due', async (t) => {
  const clock = createFakeClock()
  const listening = createListening({ clock })
  const since = clock.now()
  clock.stall(60_000)
  t.equal(listening.since(since), 500)
  await clock.advance(1_000)
  t.equal(listening.since(since), 1_500)
  t.equal(listening.since(since + 30_000), 1_000, 'asked about a moment within it')
  listening.close()
})

t.test('what counts is never more than what passed, and never less than what ran', async (t) => {
  const pieces = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5_000 })), { maxLength: 30 })
  const property = fc.asyncProperty(pieces, async (story) => {
    const clock = createFakeClock()
    const listening = createListening({ clock })
    const since = clock.now()
    let ran = 0
    for (const [stalls, ms] of story) {
      if (stalls) clock.stall(ms)
      else {
        await clock.advance(ms)
        ran += ms
      }
    }
    const counted = listening.since(since)
    listening.close()
    const stood = story.filter(([stalls]) => stalls).length
    return counted <= clock.now() - since && counted >= ran - 500 * stood
  })
  await t.resolves(fc.assert(property, { numRuns: 50 }))
})
