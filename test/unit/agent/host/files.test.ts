import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  asStorageFault,
  hasErrno,
  readBounded,
  removeTemporaries,
  writeAtomic,
} from '../../../../agent/host/files.ts'

t.test('a file is replaced whole, with its mode', async (t) => {
  const folder = t.testdir({ file: 'old' })
  const path = join(folder, 'file')
  await writeAtomic(path, 'new', { mode: 0o640 })
  t.equal(await readFile(path, 'utf8'), 'new')
  t.equal((await stat(path)).mode & 0o777, 0o640)
  await writeAtomic(path, Buffer.from([1, 2]), { mode: 0o600, uid: process.getuid?.() ?? 0 })
  t.same(await readFile(path), Buffer.from([1, 2]))
  t.same(await readdir(folder), ['file'])
})

t.test('many writers at once: one of them wins, whole', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'file')
  const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(5000))
  await Promise.all(contents.map((content) => writeAtomic(path, content, { mode: 0o600 })))
  t.ok(contents.includes(await readFile(path, 'utf8')))
  t.same(await readdir(folder), ['file'])
})

t.test('what cannot be written leaves nothing behind', async (t) => {
  const folder = t.testdir({ taken: { inside: '' } })
  await t.rejects(writeAtomic(join(folder, 'taken'), 'x', { mode: 0o600 }))
  await t.rejects(writeAtomic(join(folder, 'no/such/folder'), 'x', { mode: 0o600 }), { code: 'ENOENT' })
  t.same(await readdir(folder), ['taken'])
})

t.test('reading is bounded, and a missing file is no error', async (t) => {
  const path = join(t.testdir({ file: '12345' }), 'file')
  t.equal(await readBounded(path, 5), '12345')
  await t.rejects(readBounded(path, 4), { code: 'CONFIG_INVALID', detail: /longer than 4 bytes/ })
  t.equal(await readBounded(`${path}/below`, 5), undefined)
  t.equal(await readBounded(`${path}.none`, 5), undefined)
  await t.rejects(readBounded(t.testdir(), 5), { code: 'EISDIR' })
  t.match(await readBounded('/proc/self/stat', 10_000), /^\d+ \(/, 'files without a size too')
})

t.test('only what a killed write left is removed', async (t) => {
  const folder = t.testdir()
  const names = ['.state.json.0123456789ab.tmp', '.state.json.tmp', 'state.json', 'x.0123456789ab.tmp']
  for (const name of names) await writeFile(join(folder, name), '')
  await removeTemporaries(folder)
  t.same((await readdir(folder)).toSorted(), names.slice(1).toSorted())
  await removeTemporaries(join(folder, 'none'))
  await mkdir(join(folder, 'empty'))
})

t.test('a full disk has a code, other errors keep theirs', async (t) => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  t.match(asStorageFault(full, '/folder'), { code: 'DISK_FULL', detail: '/folder' })
  const other = Object.assign(new Error('no'), { code: 'EIO' })
  t.equal(asStorageFault(other, '/folder'), other)
  const readOnly = Object.assign(new Error('EROFS'), { code: 'EROFS' })
  t.match(asStorageFault(readOnly, '/folder'), {
    code: 'STATE_UNWRITABLE',
    detail: '/folder: the file system is read-only',
  })
  t.ok(hasErrno(other, 'EPERM', 'EIO'))
  t.notOk(hasErrno('EACCES', 'EACCES'))
})
