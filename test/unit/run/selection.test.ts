import t from 'tap'
import { isCluster, select } from '../../run/selection.ts'

const paths = [
  'test/unit/b.test.ts',
  'test/unit/a.test.ts',
  'test/unit/shapes.ts',
  'test/integration/join.test.ts',
  'test/e2e/core/leave.test.ts',
  'test/e2e/agent/boot.test.ts',
  'test/e2e/mesh/gate.test.ts',
  'test/e2e/faults.test.ts',
  'test/e2e/boot/machines.test.ts',
  'test/soak/lives.test.ts',
  'test/bench/x.test.ts',
]
const all = { names: [], skipCore: false, soakMinutes: 5 }
const names = (selection: ReturnType<typeof select>) => selection.files.map((file) => file.path)

t.test('test: unit, integration and the core of the real-mesh set', async (t) => {
  t.same(names(select('test', paths, all)), [
    'test/e2e/agent/boot.test.ts',
    'test/e2e/core/leave.test.ts',
    'test/e2e/mesh/gate.test.ts',
    'test/integration/join.test.ts',
    'test/unit/a.test.ts',
    'test/unit/b.test.ts',
  ])
})

t.test('e2e: the whole real-mesh set; without the core it says what it left', async (t) => {
  t.equal(select('e2e', paths, all).files.length, 5)
  const rest = select('e2e', paths, { ...all, skipCore: true })
  t.same(names(rest), ['test/e2e/boot/machines.test.ts', 'test/e2e/faults.test.ts'])
  t.equal(rest.leftToTest.length, 3)
  t.equal(select('test', paths, { ...all, skipCore: true }).files.length, 6, 'which means nothing to test')
})

t.test('names choose by path, and any of them will do', async (t) => {
  t.same(names(select('e2e', paths, { ...all, names: ['leave', 'faults'] })), [
    'test/e2e/core/leave.test.ts',
    'test/e2e/faults.test.ts',
  ])
  t.same(names(select('e2e', paths, { ...all, names: ['nothing'] })), [])
})

t.test('what builds a mesh is marked, and has longer', async (t) => {
  const [boot] = select('e2e', paths, { ...all, names: ['agent/boot'] }).files
  const [unit] = select('test', paths, { ...all, names: ['unit/a'] }).files
  const [soak] = select('soak', paths, { ...all, soakMinutes: 60 }).files
  t.equal(boot?.weight, 'mesh')
  t.equal(unit?.weight, 'light')
  t.ok((boot?.limitSeconds ?? 0) > (unit?.limitSeconds ?? 0))
  t.ok((soak?.limitSeconds ?? 0) > 3600)
})

t.test('e2e:boot: the scenes that boot machines, which have longest', async (t) => {
  const [machines, ...rest] = select('e2e:boot', paths, all).files
  const [scene] = select('e2e', paths, { ...all, names: ['faults'] }).files
  t.same([machines?.path, rest.length], ['test/e2e/boot/machines.test.ts', 0])
  t.ok((machines?.limitSeconds ?? 0) > (scene?.limitSeconds ?? 0))
})

t.test('files that start a cluster are known by their folder', async (t) => {
  t.ok(isCluster('test/e2e/kubernetes/testbed.test.ts'))
  t.ok(isCluster('test/integration/controller/mesh/kubernetes/apply.test.ts'))
  t.notOk(isCluster('test/unit/controller/kubernetes/apply.test.ts'))
  t.notOk(isCluster('test/e2e/faults.test.ts'))
})
