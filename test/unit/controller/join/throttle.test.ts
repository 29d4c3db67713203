import t from 'tap'
import { createRate, istiodPerSecond, unlimited } from '../../../../controller/join/rate.ts'
import { createThrottle } from '../../../../controller/join/throttle.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const clock = createFakeClock()

function gates(count: number) {
  const open: (() => void)[] = []
  const works = Array.from({ length: count }, (_, i) => () => {
    return new Promise<number>((resolve) => {
      open[i] = () => resolve(i)
    })
  })
  return { open, works }
}

t.test('so many work at a time, the rest wait in order, more are sent away', async (t) => {
  const waits: number[] = []
  const throttle = createThrottle({
    places: 2,
    waiting: 2,
    ...{ rate: unlimited, clock },
    random: () => 0.5,
    changed: (waiting) => waits.push(waiting),
  })
  const { open, works } = gates(5)
  const running = works.slice(0, 4).map((work) => throttle.run(work))
  await turn()
  t.same(
    [0, 1, 2, 3].map((i) => open[i] !== undefined),
    [true, true, false, false],
  )
  await t.rejects(
    throttle.run(async () => 0),
    { code: 'UNAVAILABLE', retryAfterSeconds: 5 },
  )
  open[1]?.()
  t.equal(await running[1], 1)
  await turn()
  t.ok(open[2], 'the first that waited')
  t.notOk(open[3])
  for (const i of [0, 2]) open[i]?.()
  await Promise.all([running[0], running[2]])
  await turn()
  open[3]?.()
  t.equal(await running[3], 3)
  t.same(waits, [1, 2, 1, 0])
})

t.test('a failure gives its place back', async (t) => {
  const throttle = createThrottle({ places: 1, waiting: 0, rate: unlimited, clock, random: () => 0 })
  await t.rejects(
    throttle.run(async () => {
      throw new Error('no')
    }),
    /no/,
  )
  t.equal(await throttle.run(async () => 'yes'), 'yes')
})

t.test(
  'istiod gets no more in a second than it takes, and who is sent away has a turn of its own',
  async (t) => {
    const clock = createFakeClock()
    const rate = createRate({ clock, perSecond: () => 25 })
    const throttle = createThrottle({ places: 1000, waiting: 2000, rate, clock, random: () => 0 })
    const begun: number[] = []
    const started = clock.now()
    const told: number[] = []
    const join = (brings?: boolean) =>
      throttle
        .run(async () => {
          begun.push(clock.now() - started)
        }, brings)
        .catch((error: { code: string; retryAfterSeconds: number }) => {
          t.equal(error.code, 'UNAVAILABLE')
          told.push(error.retryAfterSeconds)
        })
    const all = Promise.all(Array.from({ length: 500 }, () => join()))
    await join(false)
    t.equal(
      begun.length - begun.filter((at) => at === 0).length,
      0,
      'one that brings no sidecar does not wait',
    )
    await clock.advance(10_000)
    await all
    const admitted = begun.length - 1
    t.ok(admitted <= 25 * 6 + 2, `${admitted} came in`)
    t.ok(admitted >= 25 * 6 - 2, `${admitted} came in`)
    for (let second = 0; second < 5; second += 1) {
      const within = begun.filter((at) => at > second * 1000 && at <= (second + 1) * 1000)
      t.ok(within.length <= 26, `${within.length} in second ${second}`)
    }
    t.equal(told.length, 500 - admitted)
    for (let second = 6; second < 18; second += 1) {
      const back = told.filter((at) => at === second)
      t.ok(back.length <= 26, `${back.length} are told to come back in second ${second}`)
    }
    t.ok(Math.max(...told) >= (500 - 2) / 25 - 2, 'the last one when the others have been served')
  },
)

t.test('replicas share what istiod takes, as many as there are', async (t) => {
  const clock = createFakeClock()
  let replicas = 1
  const rate = createRate({ clock, perSecond: () => 20 / replicas })
  for (let i = 0; i < 21; i += 1) rate.reserve()
  t.equal(rate.waitMs(), 50)
  replicas = 4
  rate.reserve()
  t.equal(rate.waitMs(), 250)
  t.same([1, 2, 4, 32].map(istiodPerSecond), [20, 25, 35, 100])
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
