import t from 'tap'
import { createRecent } from '../../../../controller/auth/recent.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function setUp(most = 3, atOnce = 2) {
  const clock = createFakeClock()
  const recent = createRecent<string>({ clock, most, atOnce, keepMs: (answer) => answer.length * 1000 })
  let fetched = 0
  const fetch = (answer: string) => async () => {
    fetched += 1
    return answer
  }
  return { clock, recent, fetch, fetched: () => fetched }
}

t.test('an answer counts as long as it is to', async (t) => {
  const { clock, recent, fetch, fetched } = setUp()
  t.equal(await recent.get('a', fetch('yes')), 'yes')
  await clock.advance(2_999)
  t.equal(await recent.get('a', fetch('other')), 'yes')
  t.equal(fetched(), 1)
  await clock.advance(1)
  t.equal(await recent.get('a', fetch('no')), 'no')
})

t.test('those who ask at the same time share one answer, and one failure, which is not kept', async (t) => {
  const { recent, fetch, fetched } = setUp()
  t.same(await Promise.all([recent.get('a', fetch('x')), recent.get('a', fetch('y'))]), ['x', 'x'])
  t.equal(fetched(), 1)
  const failing = async () => Promise.reject(new Error('away'))
  const both = await Promise.allSettled([recent.get('b', failing), recent.get('b', fetch('never'))])
  t.same(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  t.equal(await recent.get('b', fetch('back')), 'back')
})

t.test('it is bounded in what it keeps and in what it fetches', async (t) => {
  const { recent, fetch } = setUp()
  for (const key of ['a', 'b', 'c', 'd', 'e']) await recent.get(key, fetch(key))
  t.equal(recent.size, 3)
  const { promise, resolve } = Promise.withResolvers<string>()
  const waiting = ['f', 'g'].map((key) => recent.get(key, () => promise))
  await t.rejects(recent.get('h', fetch('h')), { code: 'UNAVAILABLE', retryAfterSeconds: 2 })
  t.equal(await recent.get('e', fetch('new')), 'e', 'what is known needs no place')
  resolve('done')
  t.same(await Promise.all(waiting), ['done', 'done'])
  t.equal(await recent.get('h', fetch('h')), 'h')
})
