import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  allKeys,
  type Pages,
  pageRoom,
  pageSize,
  pagesToWrite,
} from '../../../../../controller/store/kubernetes/token-pages.ts'

const key = (n: number) => createHash('sha256').update(String(n)).digest('hex')

function use(pages: Pages, uses: number, ...keys: readonly string[]): Pages {
  const written = pagesToWrite(pages, uses, [...allKeys(pages), ...keys])
  return new Map([...pages, ...written])
}

t.test('every use has a place, no page is over its room, and one more than all has none', async (t) => {
  await fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), (uses) => {
      let pages: Pages = new Map()
      for (let n = 0; n < uses; n += 1) pages = use(pages, uses, key(n))
      const isFull = [...pages].every(([page, keys]) => keys.length === pageRoom(uses, page))
      return isFull && allKeys(pages).length === uses
    }),
    { numRuns: 30 },
  )
  let pages: Pages = new Map()
  for (let n = 0; n < 130; n += 1) pages = use(pages, 130, key(n))
  t.throws(() => use(pages, 130, key(130)), { code: 'CONFLICT' })
})

t.test('a use writes one page', async (t) => {
  let pages: Pages = new Map()
  for (let n = 0; n < 5_000; n += 1) pages = use(pages, 10_000, key(n))
  const written = pagesToWrite(pages, 10_000, [...allKeys(pages), key(5_000)])
  t.equal(written.size, 1)
  t.ok([...written.values()].every((keys) => keys.length <= pageSize))
})

t.test('who looks at old pages looks at the same one for the same key', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 10_000 }), { maxLength: 199 }),
        fc.nat(),
        (others, joiner) => {
          const uses = 200
          let old: Pages = new Map()
          for (const n of new Set(others)) if (n !== joiner) old = use(old, uses, key(n))
          const [[page] = [-1]] = pagesToWrite(old, uses, [...allKeys(old), key(joiner)])
          const now = use(old, uses, key(joiner))
          // A replica that does not know of the use would write the very page on which it is.
          return now.get(page)?.includes(key(joiner)) === true
        },
      ),
    ),
  )
})

t.test('keys that are taken off leave their pages', async (t) => {
  let pages: Pages = new Map()
  for (let n = 0; n < 200; n += 1) pages = use(pages, 300, key(n))
  const left = allKeys(pages).filter((one) => one !== key(7))
  const written = pagesToWrite(pages, 300, left)
  t.equal(written.size, 1)
  t.same(allKeys(new Map([...pages, ...written])), left)
})
