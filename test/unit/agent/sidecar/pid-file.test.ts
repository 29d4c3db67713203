import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createPidFile } from '../../../../agent/sidecar/pid-file.ts'

t.test('a record comes back, and nothing else does', async (t) => {
  const path = join(t.testdir(), 'process.json')
  const file = createPidFile(path)
  t.equal(await file.read(), undefined)
  const record = { pid: 5, startTime: 6, startedAt: 7, hash: 'h', bootId: 'b' }
  await file.write(record)
  t.same(await file.read(), record)
  for (const damage of ['', '{"pid":5', '{"pid":0}', 'null', 'x'.repeat(10_000)]) {
    await writeFile(path, damage)
    t.equal(await file.read(), undefined, JSON.stringify(damage.slice(0, 20)))
  }
  await file.remove()
  await file.remove()
  t.equal(await file.read(), undefined)
})
