import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { writeAtomic } from '../../../../controller/store/atomic-file.ts'

t.test('a file is whole or not there, with its mode, and nothing else is left', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-atomic-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'inner', 'secret')
  await writeAtomic(file, 'one', 0o600)
  await Promise.all([writeAtomic(file, 'two', 0o600), writeAtomic(file, 'three', 0o600)])
  t.match(readFileSync(file, 'utf8'), /^(two|three)$/)
  t.equal(statSync(file).mode & 0o777, 0o600)
  await writeAtomic(file, 'four', 0o644)
  t.equal(statSync(file).mode & 0o777, 0o644)
  await t.rejects(writeAtomic(join(folder, 'inner'), 'x', 0o600), 'a folder is in its place')
  t.same(readdirSync(join(folder, 'inner')), ['secret'])
  t.same(readdirSync(folder), ['inner'])
})
