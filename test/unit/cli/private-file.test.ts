import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createPrivateFile, writePrivateFile } from '../../../cli/private-file.ts'

t.test('the file appears whole, private, and over one that was there', async (t) => {
  const folder = t.testdir({ token: 'old' })
  const file = path.join(folder, 'token')
  const draft = await createPrivateFile(file)
  t.equal(await readFile(file, 'utf8'), 'old', 'until it is finished')
  await draft.finish('new')
  t.equal(await readFile(file, 'utf8'), 'new')
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('one that is discarded leaves nothing', async (t) => {
  const folder = t.testdir()
  const draft = await createPrivateFile(path.join(folder, 'token'))
  await draft.discard()
  t.same(await readdir(folder), [])
})

t.test('what cannot be written is said at once, and leaves nothing', async (t) => {
  const folder = t.testdir()
  await writeFile(path.join(folder, 'file'), '')
  await t.rejects(createPrivateFile(path.join(folder, 'file/token')), { code: 'CONFIG_INVALID' })
  await mkdir(path.join(folder, 'taken/inside'), { recursive: true })
  await t.rejects(writePrivateFile(path.join(folder, 'taken'), 'x'), { code: 'CONFIG_INVALID' })
  t.same((await readdir(folder)).toSorted(), ['file', 'taken'])
})
