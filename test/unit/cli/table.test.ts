import fc from 'fast-check'
import t from 'tap'
import { createPaint, renderFields, renderTable } from '../../../cli/table.ts'

const bare = createPaint(false)

t.test('columns are as wide as what they hold', async (t) => {
  const table = {
    head: ['ID', 'PHASE'],
    rows: [
      ['vm-1', { text: 'ready', tone: 'good' as const }],
      ['vm-22', 'lost'],
    ],
    empty: '',
  }
  t.same(renderTable(table, bare), ['ID     PHASE', 'vm-1   ready', 'vm-22  lost'])
})

t.test('no rows is said in words', async (t) => {
  t.same(renderTable({ head: ['ID'], rows: [], empty: 'No VMs.' }, bare), ['No VMs.'])
})

t.test('colours change nothing but colours', async (t) => {
  const table = { head: ['A', 'B'], rows: [[{ text: 'x', tone: 'bad' as const }, 'y']], empty: '' }
  const [, row] = renderTable(table, createPaint(true))
  t.equal(row, '\u001b[31mx  \u001b[0my')
})

t.test('a line is never wider than the terminal', async (t) => {
  const cell = fc.string({ maxLength: 30 })
  fc.assert(
    fc.property(
      fc.array(fc.array(cell, { minLength: 3, maxLength: 3 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 60 }),
      (rows, columns) =>
        renderTable({ head: ['A', 'B', 'C'], rows, empty: '' }, bare, columns).every(
          (line) => line.length <= columns,
        ),
    ),
  )
  t.pass('for all tables')
})

t.test('foreign text cannot steer the terminal', async (t) => {
  const evil = 'web\u001b]0;owned\u0007\u001b[2J\nvm-9  pool  ready'
  const lines = [
    ...renderTable({ head: ['H'], rows: [[evil]], empty: '' }, bare),
    ...renderFields([['host', evil]], bare),
  ]
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
  for (const line of lines) t.notMatch(line, /[\u0000-\u001f]/)
  t.equal(lines.length, 3)
})

t.test('fields without a value are left out', async (t) => {
  t.same(
    renderFields(
      [
        ['id', 'vm-1'],
        ['draining', undefined],
        ['address', '10.0.0.1'],
      ],
      bare,
    ),
    ['id       vm-1', 'address  10.0.0.1'],
  )
})
