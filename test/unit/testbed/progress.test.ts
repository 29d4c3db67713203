import t from 'tap'
import { createProgress, formatDuration } from '../../testbed/progress.ts'

t.test('elsewhere than on a terminal, progress is plain lines', async (t) => {
  let text = ''
  let now = 0
  const progress = createProgress({ write: (part) => (text += part), live: false, now: () => now })
  const step = progress.start('building')
  step.at('file 1')
  now = 65_000
  step.done('all well')
  const other = progress.start('testing')
  other.failed()
  t.equal(text, '  … building\n  ✓ building (1 min 05 s)  all well\n  … testing\n  ✗ testing (0.0 s)\n')
})

t.test('on a terminal, one line is redrawn and never wraps', async (t) => {
  const parts: string[] = []
  const progress = createProgress({
    write: (part) => parts.push(part),
    live: true,
    columns: 30,
    now: () => 0,
  })
  progress.start('a label that is much too long for this terminal').failed()
  t.ok(parts[0]?.startsWith('\r\x1b[2K'))
  t.ok((parts[0] ?? '').replace('\r\x1b[2K', '').length < 30)
  t.ok(parts.at(-1)?.endsWith('\n'))
})

t.test('durations read as a person says them', async (t) => {
  t.equal(formatDuration(420), '0.4 s')
  t.equal(formatDuration(12_300), '12 s')
  t.equal(formatDuration(185_000), '3 min 05 s')
})
