import t from 'tap'
import { createTapReader } from '../../run/tap-reader.ts'

function read(text: string) {
  const reader = createTapReader('file')
  for (const line of text.split('\n')) reader.line(line)
  return reader
}

t.test('assertions, subtests and comments are found where they were made', async (t) => {
  const { root, complete } = read(`TAP version 14
ok 1 - top
# Subtest: outer
    ok 1 - one
    # said something
    # Subtest: inner
        ok 1 - deep
        1..1
    ok 2 - inner # time=1.5ms
    
    1..2
ok 2 - outer # time=3ms

1..2
# time=5ms`)
  const [outer] = root.children
  t.same(
    root.assertions.map((a) => a.name),
    ['top'],
  )
  t.match(outer, { name: 'outer', ok: true, directive: undefined, plan: 2, comments: ['said something'] })
  t.match(outer?.children, [{ name: 'inner', ok: true, assertions: [{ name: 'deep', ok: true }] }])
  t.equal(complete(), true)
})

t.test('the diagnostics of a failure are kept as they are, TAP in them too', async (t) => {
  const { root } = read(`# Subtest: a
    not ok 1 - should match
      ---
      diff: |
        -ok 1 - not a point
        +# Subtest: not a test
      ...
    
    ok 2 - after
    1..2
not ok 1 - a # time=2ms
  ---
  at:
    lineNumber: 3
  ...

1..1`)
  const [a] = root.children
  t.equal(a?.ok, false)
  t.equal(a?.diagnostics, 'at:\n  lineNumber: 3')
  t.equal(a?.assertions[0]?.diagnostics, 'diff: |\n  -ok 1 - not a point\n  +# Subtest: not a test')
  t.equal(a?.assertions.length, 2)
})

t.test('skip and todo are told from a # in a name', async (t) => {
  const { root } = read(`ok 1 - costs \\# 5 # SKIP no money
not ok 2 - later # TODO
ok 3 - issue \\#7 # time=1ms
1..3`)
  t.match(root.assertions, [
    { name: 'costs # 5', directive: { kind: 'skip', reason: 'no money' } },
    { name: 'later', ok: false, directive: { kind: 'todo', reason: '' } },
    { name: 'issue #7', directive: undefined },
  ])
})

t.test('an output that ends early is not complete, and says where it was', async (t) => {
  const reader = read(`# Subtest: boots
    ok 1 - started
    # Subtest: joins`)
  t.equal(reader.complete(), false)
  t.same(reader.open(), ['boots', 'joins'])
  t.equal(reader.root.children[0]?.ok, undefined)
})

t.test('a plan without tests keeps its reason, and giving up is seen', async (t) => {
  t.match(read('1..0 # not here').root, { plan: 0, planReason: 'not here' })
  t.equal(read('Bail out! no kernel').root.bailedOut, 'no kernel')
})

t.test('lines of the tested program are not taken for results', async (t) => {
  const { root } = read(`listening on 127.0.0.1
        ok 7 - nobody opened a test at this depth
  ok 8 - nor at half a level
okay then
ok 1 - real
1..1`)
  t.same(
    root.assertions.map((a) => a.name),
    ['real'],
  )
  t.equal(root.children.length, 0)
})
