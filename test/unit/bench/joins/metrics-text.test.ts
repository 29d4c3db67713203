import t from 'tap'
import { added, sumBy } from '../../../bench/joins/metrics-text.ts'

const text = `# HELP calls_total Calls
# TYPE calls_total counter
calls_total{code="200",resource="pods",subresource="",verb="GET"} 3
calls_total{code="404",resource="pods",subresource="",verb="GET"} 1
calls_total{code="201",resource="serviceaccounts",subresource="token",verb="POST"} 1e2
calls_total_other{code="200",resource="pods",verb="GET"} 7
plain 5.5
`

t.test('samples are summed by labels; empty ones say nothing', async (t) => {
  const sums = sumBy(text, 'calls_total', ['verb', 'resource', 'subresource'])
  t.same(
    [...sums],
    [
      ['GET pods', 4],
      ['POST serviceaccounts token', 100],
    ],
  )
  t.same([...sumBy(text, 'plain', [])], [['', 5.5]])
  t.equal(sumBy(text, 'absent', []).size, 0)
})

t.test('what was added', async (t) => {
  const before = new Map([
    ['a', 1],
    ['b', 2],
  ])
  t.same(
    [...added(before, new Map([...before, ['b', 5], ['c', 1]]))],
    [
      ['b', 3],
      ['c', 1],
    ],
  )
})
