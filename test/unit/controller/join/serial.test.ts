import fc from 'fast-check'
import t from 'tap'
import { createSerial } from '../../../../controller/join/serial.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

function recorder() {
  const log: string[] = []
  const work = (name: string) => async () => {
    log.push(`${name} begins`)
    await turn()
    log.push(`${name} ends`)
    if (name === 'b') throw new Error('b failed')
    return name
  }
  return { log, work }
}

t.test('one at a time, in order, also after a failure', async (t) => {
  const serial = createSerial()
  const { log, work } = recorder()
  const [a, b, c] = [serial(work('a')), serial(work('b')), serial(work('c'))]
  t.equal(await a, 'a')
  await t.rejects(b, /b failed/)
  t.equal(await c, 'c')
  t.same(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

t.test(
  'beside others without a key in common, after those with one, and never beside what is alone',
  async (t) => {
    const serial = createSerial()
    const { log, work } = recorder()
    await Promise.allSettled([
      serial.beside(['x', 'y'], work('a')),
      serial.beside(['z'], work('b')),
      serial.beside(['y'], work('c')),
      serial(work('alone')),
      serial.beside(['x'], work('d')),
    ])
    const isBefore = (first: string, second: string) => log.indexOf(first) < log.indexOf(second)
    t.ok(isBefore('b begins', 'a ends'), 'nothing in common')
    t.ok(isBefore('a ends', 'c begins'), 'a key in common')
    for (const earlier of ['a', 'b', 'c']) t.ok(isBefore(`${earlier} ends`, 'alone begins'), earlier)
    t.ok(isBefore('alone ends', 'd begins'))
    t.equal(log.length, 10)
  },
)

t.test('whatever is given, no key is used twice at once, and nothing waits for ever', async (t) => {
  const keys = fc.option(fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 3 }), {
    nil: undefined,
  })
  await fc.assert(
    fc.asyncProperty(fc.array(keys, { maxLength: 12 }), async (given) => {
      const serial = createSerial()
      const running = new Set<readonly string[] | undefined>()
      let overlaps = 0
      const work = (own: readonly string[] | undefined) => async () => {
        for (const other of running) {
          if (own === undefined || other === undefined || own.some((key) => other.includes(key)))
            overlaps += 1
        }
        running.add(own)
        await turn()
        running.delete(own)
      }
      await Promise.all(
        given.map((own) => (own === undefined ? serial(work(own)) : serial.beside(own, work(own)))),
      )
      t.equal(overlaps, 0)
    }),
    { numRuns: 100 },
  )
})
