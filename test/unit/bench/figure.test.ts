import t from 'tap'
import { isMet, quantity, renderFigures } from '../../bench/figure.ts'

t.test('a figure meets its goal or not, and what is not measured does not', async (t) => {
  const figure = { name: 'x', unit: 'ms' } as const
  t.equal(isMet({ ...figure, value: 500, goal: { atMost: 500 } }), true)
  t.equal(isMet({ ...figure, value: 501, goal: { atMost: 500 } }), false)
  t.equal(isMet({ ...figure, value: 9_999, goal: { atLeast: 10_000 } }), false)
  t.equal(isMet({ ...figure, value: Number.NaN, goal: { atMost: 500 } }), false)
  t.equal(isMet({ ...figure, value: 1 }), undefined)
})

t.test('quantities are read by people', async (t) => {
  t.equal(quantity(12_345, 'requests'), '12,345')
  t.equal(quantity(0, 'requests'), '0')
  t.equal(quantity(612.4, 'ms'), '612 ms')
  t.equal(quantity(38.24, 'MB'), '38.2 MB')
  t.equal(quantity(0.123, '%'), '0.12 %')
  t.equal(quantity(Number.NaN, 'ms'), '–')
})

t.test('the table sets what was wanted beside what was found', async (t) => {
  const text = renderFigures([
    { name: 'boot', value: 612, unit: 'ms', goal: { atMost: 800 } },
    { name: 'failed requests', value: 2, unit: 'requests', goal: { atMost: 0 } },
    { name: 'bare sidecar', value: 210, unit: 'ms' },
  ])
  t.equal(
    text,
    [
      '                   measured      goal',
      '  boot               612 ms  ≤ 800 ms  ✓',
      '  failed requests         2       ≤ 0  ✗ missed',
      '  bare sidecar       210 ms',
    ].join('\n'),
  )
})
