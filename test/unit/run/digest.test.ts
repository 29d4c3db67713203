import t from 'tap'
import { digest } from '../../run/digest.ts'

const long = Array.from({ length: 200 }, (_, i) => `line ${i}`).join('\n')
const many = (count: number, text: string) =>
  Array.from({ length: count }, (_, i) => ({ path: ['f.test.ts', `test ${i}`], text }))

t.test('a failure is shown with its file, its test and the difference', async (t) => {
  t.same(digest([{ path: ['f.test.ts', 'outer', 'inner'], text: 'should be equal\n\n  -1\n  +2' }]), [
    '   f.test.ts > outer > inner',
    '       should be equal',
    '         -1',
    '         +2',
  ])
  t.same(digest([]), [])
})

t.test('of a long one the beginning is shown, and how much there is', async (t) => {
  const lines = digest(many(1, long))
  t.match(lines[1], /line 0$/)
  t.match(lines.at(-1), /… \d+ more lines above/)
  t.ok(lines.length < 50, `${lines.length} lines`)
})

t.test('however many there are, it is no longer than it may be, and says what is left out', async (t) => {
  for (const count of [2, 3, 10, 29, 30, 31, 50, 1_000]) {
    for (const text of ['short', long]) {
      const lines = digest(many(count, text), 150)
      t.ok(lines.length <= 150, `${count} failures: ${lines.length} lines`)
      const named = lines.filter((line) => line.startsWith('   f.test.ts > ')).length
      const left = Number(/^ {3}… and (\d+) more$/.exec(lines.at(-1) ?? '')?.[1] ?? 0)
      t.equal(named + left, count, 'each is named or counted')
    }
  }
})
