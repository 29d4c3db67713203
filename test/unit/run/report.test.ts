import t from 'tap'
import { createReport } from '../../run/report.ts'
import { emptyTally } from '../../run/tally.ts'

function collect(tty: boolean) {
  const written: string[] = []
  let time = 0
  const report = createReport({
    write: (text) => written.push(text),
    tty,
    colour: tty,
    columns: () => 80,
    now: () => time,
  })
  t.teardown(report.close)
  return { report, text: () => written.join(''), pass: (ms: number) => (time += ms) }
}

t.test('plain output has one line a file, failures in full, and no control characters', async (t) => {
  const { report, text, pass } = collect(false)
  report.title('Unit tests: 2 files')
  report.started('test/unit/a.test.ts')
  pass(1500)
  report.ended('test/unit/a.test.ts', { ...emptyTally, passed: 4 })
  report.started('test/unit/b.test.ts')
  const failures = [{ path: ['test/unit/b.test.ts', 'outer', 'inner'], text: 'should be equal\n  diff' }]
  const failed = { ...emptyTally, passed: 1, failed: 1, failures }
  report.ended('test/unit/b.test.ts', failed)
  report.summary(failed)
  t.match(text(), / {3}ok {2}test\/unit\/a\.test\.ts {2}4 passed {2}1\.5 s\n/)
  t.match(text(), / FAIL {2}test\/unit\/b\.test\.ts {2}1 failed, 1 passed/)
  t.match(text(), /outer > inner\n +should be equal\n +diff\n/)
  t.match(text(), /Failed:\n {3}test\/unit\/b\.test\.ts > outer > inner\n {7}should be equal\n {9}diff\n/)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
  t.notMatch(text(), /[\r\u001b]/)
})

t.test('a terminal gets a status line that fits', async (t) => {
  const { report, text } = collect(true)
  report.started(`test/e2e/${'long'.repeat(40)}.test.ts`)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the status line is made of them
  const status = text().replace(/\u001b\[[0-9;]*[mK]|\r/g, '')
  t.ok(status.length > 0 && status.length < 80, status)
})

t.test('skips are listed with their reasons', async (t) => {
  const { report, text } = collect(false)
  report.summary({ ...emptyTally, skipped: 1, skips: [{ path: ['f', 'x'], text: 'skip: why' }] })
  t.match(text(), /Skipped:\n {3}f > x \(skip: why\)\n/)
})
