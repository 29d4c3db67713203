import { appendFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createLogFile, lastLines } from '../../../../agent/sidecar/log-file.ts'

t.test('the tail begins where the run began', async (t) => {
  const path = join(t.testdir(), 'log/sidecar.log')
  const log = createLogFile({ path })
  t.same(await log.tail(0), [], 'no file yet')
  const first = await log.open()
  await first.close()
  await appendFile(path, 'of the run before\n')
  const second = await log.open()
  await second.close()
  await appendFile(path, 'one\n\n  two  \n')
  t.same(await log.tail(second.size), ['one', '  two'])
  t.equal(await log.size(), (await stat(path)).size)
})

t.test('a grown file is moved aside and the writer goes on in the same one', async (t) => {
  const path = join(t.testdir(), 'sidecar.log')
  const log = createLogFile({ path, maxBytes: 100 })
  await writeFile(path, 'x'.repeat(100))
  await log.rotate()
  t.equal(await log.size(), 100, 'not too large yet')
  const { ino } = await stat(path)
  await appendFile(path, 'y')
  await log.rotate()
  t.equal(await log.size(), 0)
  t.equal((await stat(path)).ino, ino)
  t.equal(await readFile(`${path}.1`, 'utf8'), `${'x'.repeat(100)}y`)
  await appendFile(path, 'after\n')
  t.same(await log.tail(101), ['after'], 'an offset of before counts from the start')
  await createLogFile({ path: join(t.testdir(), 'none') }).rotate()
})

t.test('a report stays short', async (t) => {
  const lines = lastLines(Array.from({ length: 100 }, (_, i) => `${i} ${'z'.repeat(1000)}`).join('\n'))
  t.equal(lines.length, 12)
  t.ok(lines.every((line) => line.length <= 301))
  t.match(lines.at(-1), /^99 /)
})
