import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import t from 'tap'
import type { IstioObject } from '../../../../../controller/mesh/mesh.ts'
import { meshObjects, refOf, workloadEntry } from '../../../../../controller/mesh/objects.ts'
import { fileName } from '../../../../../controller/mesh/standalone/object-file.ts'
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

function fileOf(name: string): string {
  return fileName(refOf(entry(name)))
}

/** A name whose entry shares the file of `a`, and one whose entry does not. */
const candidates = Array.from({ length: 500 }, (_, i) => `n-${i}`)
const beside = candidates.find((name) => fileOf(name) === fileOf('a')) ?? ''
const apart = candidates.find((name) => fileOf(name) !== fileOf('a')) ?? ''

t.test('objects outlive the process, and unchanged content is not written again', async (t) => {
  const dir = t.testdir()
  const folder = await openObjectFolder(dir, clock)
  t.equal(await folder.put(entry('a')), true)
  await folder.show()
  const file = join(folder.root, 'objects', fileOf('a'))
  const { ino } = statSync(file)
  t.equal(await folder.put(entry('a')), false)
  t.equal(statSync(file).ino, ino)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(await folder.put(entry('a', 'open')), true)
  t.not(statSync(file).ino, ino, 'replaced, not written into')
  for (const name of [beside, apart]) await folder.put(entry(name))

  const again = await openObjectFolder(dir, clock)
  t.same(names(again.written()), ['a', apart, beside].sort())
  t.equal(await again.put(entry('a', 'open')), false)
  t.equal(await again.remove(refOf(entry('a'))), true)
  t.equal(await again.remove(refOf(entry('a'))), false)
  t.same(names(again.written()), [apart, beside].sort())
  await again.remove(refOf(entry(beside)))
  t.equal(existsSync(file), false, 'an empty file is none')
  t.same(readdirSync(join(dir, 'staging')), [])
})

t.test('hidden objects are out of sight, and writing goes on', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.show()
  await folder.hide()
  t.same(readdirSync(folder.root), [])
  await Promise.all([folder.put(entry(beside)), folder.show(), folder.put(entry(apart))])
  t.same(readdirSync(join(folder.root, 'objects')).sort(), [fileOf('a'), fileOf(apart)].sort())
  await folder.hide()
  await folder.hide()
  await folder.show()
  t.same(names(folder.written()), ['a', apart, beside].sort())
})

t.test('a nudge writes the same object with another revision', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  for (const name of ['a', beside]) await folder.put(entry(name))
  const before = folder.find(refOf(entry('a')))
  const other = folder.find(refOf(entry(beside)))
  await folder.nudge([refOf(entry('a')), refOf(entry('missing'))])
  const after = folder.find(refOf(entry('a')))
  t.strictSame(after?.object, before?.object)
  t.not(after?.revision, before?.revision)
  t.strictSame(folder.find(refOf(entry(beside))), other)
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
  cpSync(join(folder.root, 'objects', fileOf('a')), join(folder.root, fileOf('a')))
  const { foreign } = await folder.look()
  t.same(foreign.map(({ file, fault }) => [relative(folder.root, file), fault]).sort(), [
    [fileOf('a'), undefined],
    ['more/rule.yml', undefined],
    ['objects/broken.yaml', undefined],
  ])
  t.same(names(folder.written()), ['a'])
})

t.test('what others do to our files is noticed and mended by the next put', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  for (const name of ['a', apart]) await folder.put(entry(name))
  await folder.show()
  const file = (name: string) => join(folder.root, 'objects', fileOf(name))
  rmSync(file('a'))
  t.equal(await folder.put(entry('a')), true, 'deleted')
  writeFileSync(file(apart), '{')
  const { foreign } = await folder.look()
  t.match(foreign, [{ file: file(apart) }])
  t.equal(await folder.put(entry(apart)), true, 'damaged')
  t.same((await folder.look()).foreign, [])
  rmSync(file('a'))
  await folder.look()
  t.same(names(folder.written()), [apart])
})

t.test('a file that cannot be read for a while is not forgotten', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.put(entry(beside))
  await folder.show()
  const file = join(folder.root, 'objects', fileOf('a'))
  // More than is read of any file; what makes a read fail otherwise cannot be had at will.
  writeFileSync(file, `${readFileSync(file, 'utf8')}${'#'.repeat(5 * 1024 * 1024)}`)
  t.match((await folder.look()).foreign, [{ file, fault: /bytes/ }])
  t.equal(await folder.remove(refOf(entry('a'))), true, 'it is there, and is taken out')
  t.notMatch(readFileSync(file, 'utf8'), '"name":"a"')
  t.same(names((await openObjectFolder(join(folder.root, '..'), clock)).written()), [beside])
})

t.test('an object that istiod refused is taken out, alone, and not written again', async (t) => {
  const folder = await openObjectFolder(t.testdir(), clock)
  await folder.put(entry('a'))
  await folder.show()
  const file = join(folder.root, 'objects', fileOf('a'))
  await folder.put(entry(beside))
  t.equal(folder.suspect(file, 'configuration is invalid: x')?.object.metadata.name, beside, 'the newest')
  const suspect = folder.suspect(file, 'cannot parse proto message for a: bad port')
  if (suspect === undefined) throw new Error('no suspect')
  t.equal(suspect.object.metadata.name, 'a', 'the one that is named')
  t.equal(await folder.expel({ ...suspect, revision: 'another' }, 'bad port'), false, 'replaced meanwhile')
  t.equal(await folder.expel(suspect, 'bad port'), true)
  t.same(names(folder.written()), [beside])
  t.notMatch(readFileSync(file, 'utf8'), '"name":"a"')
  await t.rejects(folder.put(entry('a')), { code: 'REQUEST_INVALID', detail: /bad port/ })
  t.equal(await folder.put(entry('a', 'open')), true, 'other content may be tried')
  await folder.expel(folder.find(refOf(entry('a'))) ?? suspect, 'bad port')
  clock.advance(61_000)
  t.equal(await folder.put(entry('a', 'open')), true, 'and after a while the same')
  t.equal(folder.suspect(join(folder.root, 'foreign.yaml'), 'x'), undefined)
  t.equal(folder.suspect(join(folder.root, fileOf('a')), 'x'), undefined, 'ours by its name only')
})

t.test('a folder that cannot be written says so, and keeps what it has', async (t) => {
  const dir = t.testdir()
  const folder = await openObjectFolder(dir, clock)
  const [object] = meshObjects() as [IstioObject]
  await folder.put(entry('a'))
  rmSync(join(dir, 'staging'), { recursive: true })
  await t.rejects(folder.put(object), { code: 'MESH_UNAVAILABLE' })
  await t.rejects(folder.put(entry('a', 'open')), { code: 'MESH_UNAVAILABLE' })
  t.same(folder.find(refOf(entry('a')))?.object, entry('a'))
  mkdirSync(join(dir, 'staging'))
  t.equal(await folder.put(object), true)
  t.match(readFileSync(join(dir, 'hidden', 'PeerAuthentication.istio-system.default.yaml'), 'utf8'), 'STRICT')
  const large = { ...object, spec: { text: 'x'.repeat(300_000) } }
  await t.rejects(folder.put(large), { code: 'REQUEST_INVALID' })
})
