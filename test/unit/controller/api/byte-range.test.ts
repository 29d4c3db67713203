import fc from 'fast-check'
import t from 'tap'
import { byteRange } from '../../../../controller/api/byte-range.ts'

const cases: readonly (readonly [string | undefined, unknown])[] = [
  [undefined, undefined],
  ['', undefined],
  ['bytes=', undefined],
  ['bytes=-', undefined],
  ['bytes=0-9', { from: 0, to: 9 }],
  ['bytes=10-', { from: 10, to: 99 }],
  ['bytes=10-1000', { from: 10, to: 99 }],
  ['bytes=-10', { from: 90, to: 99 }],
  ['bytes=-1000', { from: 0, to: 99 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=9-5', undefined],
  ['bytes=0-1,5-6', undefined],
  ['lines=0-1', undefined],
  ['bytes=99999999999999999999-', undefined],
]
for (const [header, range] of cases) {
  t.test(`${header} of 100 bytes`, async (t) => t.same(byteRange(header, 100), range))
}

t.test('no header leads outside', async (t) => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
    fc.nat().map((n) => `bytes=-${n}`),
  )
  fc.assert(
    fc.property(header, fc.integer({ min: 1, max: 1000 }), (text, size) => {
      const range = byteRange(text, size)
      if (range === undefined || range === 'unsatisfiable') return true
      return range.from >= 0 && range.from <= range.to && range.to < size
    }),
  )
  t.pass('held')
})
