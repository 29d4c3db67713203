import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { IstioObject } from '../../../../../controller/mesh/mesh.ts'
import { meshObjects, refOf, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { openObjectFolder } from '../../../../../controller/mesh/standalone/object-folder.ts'
import { poolOf, vmOf, webSpec } from '../sample.ts'
import { createFakeClock } from './fake-clock.ts'

const clock = createFakeClock()

function entry(vm: string, health: 'open' | 'closed' = 'closed'): IstioObject {
  return workloadEntry({ vm, record: vmOf(), poolName: 'web', pool: poolOf(webSpec), health })
}

function names(written: readonly { object: IstioObject }[]): string[] {
  return written.map(({ object }) => object.metadata.name).sort()
}

t.test('objects outlive the process, and unchanged content is not written again', async (t) => {
  const dir = t.testdir()
  const folder = await openObjectFolder(dir, clock)
  t.equal(await folder.put(entry('a')), true)
  await folder.show()
  const file = join(folder.root, 'objects', 'WorkloadEntry.shop.a.yaml')
  const { ino } = statSync(file)
  t.equal(await folder.put(entry('a')), false)
  t.equal(statSync(file).ino, ino)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(await folder.put(entry('a', 'open')), true)
  t.not(statSync(file).ino, ino, 'replaced, not written into')
  await folder.put(entry('b'))

  const again = await openObjectFolder(dir, clock)
  t.same(names(again.written()), ['a', 'b'])
  t.equal(await again.put(entry('a', 'open')), false)
  t.equal(await again.remove(refOf(entry('a'))), true)
  t.equal(await again.remove(refOf(entry('a'))), false)
  t.same(names(again.written()), ['b'])
  t.same(readdirSync(join(dir, 'staging')), [])
})

t.test('hidden objects are out of sight, and writing goes on', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.show()
  await folder.hide()
  t.same(readdirSync(folder.root), [])
  await Promise.all([folder.put(entry('b')), folder.show(), folder.put(entry('c'))])
  t.same(readdirSync(join(folder.root, 'objects')).length, 3)
  await folder.hide()
  await folder.hide()
  await folder.show()
  t.same(names(folder.written()), ['a', 'b', 'c'])
})

t.test('a nudge writes the same object with another revision', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  const before = folder.find(refOf(entry('a')))
  await folder.nudge([refOf(entry('a')), refOf(entry('missing'))])
  const after = folder.find(refOf(entry('a')))
  t.strictSame(after?.object, before?.object)
  t.not(after?.revision, before?.revision)
  t.equal(await folder.put(entry('a')), false, 'it still says what it should')
})

t.test('foreign files are named, wherever istiod would read them', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.show()
  mkdirSync(join(folder.root, 'more'))
  writeFileSync(join(folder.root, 'more', 'rule.yml'), 'kind: DestinationRule\n')
  writeFileSync(join(folder.root, 'objects', 'broken.yaml'), 'a: [1,\nb')
  writeFileSync(join(folder.root, 'note.txt'), 'not read by istiod')
  const { foreign } = await folder.look()
  t.same(foreign.map(({ file, fault }) => [file.split('/').at(-1), fault]).sort(), [
    ['broken.yaml', undefined],
    ['rule.yml', undefined],
  ])
  t.same(names(folder.written()), ['a'])
})

t.test('what others do to our files is noticed and mended by the next put', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  for (const name of ['a', 'b', 'c']) await folder.put(entry(name))
  await folder.show()
  const file = (name: string) => join(folder.root, 'objects', `WorkloadEntry.shop.${name}.yaml`)
  rmSync(file('a'))
  t.equal(await folder.put(entry('a')), true, 'deleted')
  writeFileSync(file('b'), '{')
  const { foreign } = await folder.look()
  t.match(foreign, [{ file: file('b') }])
  t.equal(await folder.put(entry('b')), true, 'damaged')
  t.same((await folder.look()).foreign, [])
  rmSync(file('c'))
  await folder.look()
  t.same(names(folder.written()), ['a', 'b'])
})

t.test('a file that istiod refused is taken out, and its content is not written again', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.show()
  const file = join(folder.root, 'objects', 'WorkloadEntry.shop.a.yaml')
  const revision = folder.inFile(file)?.revision ?? ''
  t.equal(await folder.expel(file, 'another', 'bad port'), undefined, 'it was replaced meanwhile')
  t.same(await folder.expel(file, revision, 'bad port'), refOf(entry('a')))
  t.same(readdirSync(join(folder.root, 'objects')), [])
  await t.rejects(folder.put(entry('a')), { code: 'REQUEST_INVALID', detail: /bad port/ })
  t.equal(await folder.put(entry('a', 'open')), true, 'other content may be tried')
  t.equal(folder.inFile(join(folder.root, 'foreign.yaml')), undefined)
  const again = folder.inFile(file)?.revision ?? ''
  await folder.expel(file, again, 'bad port')
  clock.advance(61_000)
  t.equal(await folder.put(entry('a', 'open')), true, 'after a while it is tried again')
})

t.test('a folder that cannot be written says so', async (t) => {
  const dir = t.testdir()
  const folder = await openObjectFolder(dir, clock)
  rmSync(join(dir, 'staging'), { recursive: true })
  const [object] = meshObjects() as [IstioObject]
  await t.rejects(folder.put(object), { code: 'MESH_UNAVAILABLE' })
  mkdirSync(join(dir, 'staging'))
  t.equal(await folder.put(object), true)
  t.match(readFileSync(join(dir, 'hidden', 'PeerAuthentication.istio-system.default.yaml'), 'utf8'), 'STRICT')
})
