import t from 'tap'
import { createThrottle } from '../../../../controller/join/throttle.ts'

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
  const throttle = createThrottle({ places: 1, waiting: 0, random: () => 0 })
  await t.rejects(
    throttle.run(async () => {
      throw new Error('no')
    }),
    /no/,
  )
  t.equal(await throttle.run(async () => 'yes'), 'yes')
})

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
