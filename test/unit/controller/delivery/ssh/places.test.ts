import t from 'tap'
import { createPlaces } from '../../../../../controller/delivery/ssh/places.ts'

t.test('so many at a time, each in its turn, and a failure gives its place back', async (t) => {
  const places = createPlaces(2)
  const { signal } = new AbortController()
  let running = 0
  let most = 0
  const order: number[] = []
  const work = (n: number) =>
    places.run(async () => {
      running += 1
      most = Math.max(most, running)
      order.push(n)
      await new Promise(setImmediate)
      running -= 1
      if (n === 1) throw new Error('one of them fails')
      return n
    }, signal)
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map(work))
  t.equal(most, 2)
  t.same(order, [0, 1, 2, 3, 4])
  t.same(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  )
})

t.test('who is told to stop waits no longer', async (t) => {
  const places = createPlaces(1)
  const stop = new AbortController()
  let end = () => {}
  const first = places.run(
    () => new Promise<void>((resolve) => (end = resolve)),
    new AbortController().signal,
  )
  const second = places.run(async () => t.fail('it has its turn'), stop.signal)
  stop.abort(new Error('enough'))
  await t.rejects(second, { message: 'enough' })
  end()
  await first
  t.equal(await places.run(async () => 'free', new AbortController().signal), 'free')
})
