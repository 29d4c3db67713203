import t from 'tap'
import { withDeadline } from '../../../../controller/join/deadline.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

t.test('work in time is answered, and its timer goes', async (t) => {
  const clock = createFakeClock()
  t.equal(await withDeadline(clock, 1000, 'it', async () => 5), 5)
  t.equal(clock.sleepers, 0)
  await t.rejects(
    withDeadline(clock, 1000, 'it', async () => {
      throw new Error('no')
    }),
    /no/,
  )
  t.equal(clock.sleepers, 0)
})

t.test('work that takes too long is aborted and answered for', async (t) => {
  const clock = createFakeClock()
  let aborted = false
  const late = withDeadline(clock, 1000, 'the join', (signal) => {
    signal.addEventListener('abort', () => {
      aborted = true
    })
    return new Promise(() => {})
  })
  const refused = t.rejects(late, { code: 'UNAVAILABLE', detail: 'the join took longer than 1000 ms' })
  await clock.advance(1000)
  await refused
  t.ok(aborted)
})
