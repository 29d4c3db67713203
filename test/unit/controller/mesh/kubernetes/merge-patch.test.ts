import fc from 'fast-check'
import t from 'tap'
import { mergePatch } from '../../../../../controller/mesh/kubernetes/merge-patch.ts'

type Tree = Record<string, unknown>

/** RFC 7386, section 2. */
function patched(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const result: Tree = { ...base }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = patched(result[key], value)
  }
  return result
}

t.test('the patch makes what is wanted of what is there', async (t) => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }))
  const key = fc.constantFrom('a', 'b', 'c')
  const flat = fc.dictionary(key, leaf)
  const tree = fc.dictionary(key, fc.oneof(leaf, flat))
  fc.assert(
    fc.property(tree, tree, (actual, wanted) => {
      const patch = mergePatch(actual, wanted)
      t.strictSame(
        JSON.parse(JSON.stringify(patched(actual, patch ?? {}))),
        JSON.parse(JSON.stringify(wanted)),
      )
    }),
  )
  t.equal(mergePatch({ a: { b: [1] } }, { a: { b: [1] } }), undefined, 'the same needs none')
  t.same(mergePatch({ a: { b: 1, c: 2 }, d: 1 }, { a: { b: 1 } }), { a: { c: null }, d: null })
})
