import t from 'tap'
import { createSerial } from '../../../../controller/join/serial.ts'

t.test('one at a time, in order, also after a failure', async (t) => {
  const serial = createSerial()
  const log: string[] = []
  const work = (name: string) => async () => {
    log.push(`${name} begins`)
    await new Promise((resolve) => setImmediate(resolve))
    log.push(`${name} ends`)
    if (name === 'b') throw new Error('b failed')
    return name
  }
  const [a, b, c] = [serial(work('a')), serial(work('b')), serial(work('c'))]
  t.equal(await a, 'a')
  await t.rejects(b, /b failed/)
  t.equal(await c, 'c')
  t.same(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})
