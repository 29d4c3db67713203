import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createOutputLog } from '../../../../../controller/mesh/standalone/output-log.ts'

t.test('lines come whole, the tail is short, the file is bounded', async (t) => {
  const file = join(t.testdir(), 'istiod.log')
  const lines: string[] = []
  const log = createOutputLog({ file, maxBytes: 1000, onLine: (line) => lines.push(line) })
  log.write(Buffer.from('first\nsec'))
  log.write(Buffer.from('ond\nrest'))
  t.same(lines, ['first', 'second'])
  t.same(log.tail(), ['first', 'second', 'rest'])
  for (let i = 0; i < 100; i += 1) log.write(Buffer.from(`\nline ${i} ${'x'.repeat(50)}`))
  t.equal(log.tail().length, 41)
  t.ok(statSync(file).size <= 1000)
  t.ok(statSync(`${file}.1`).size <= 1000)
  t.match(readFileSync(file, 'utf8'), /line 99/)
  log.write(Buffer.from(`\n${'y'.repeat(100_000)}\n`))
  t.ok((log.tail().at(-1) ?? '').length <= 2048)
  log.close()
})
