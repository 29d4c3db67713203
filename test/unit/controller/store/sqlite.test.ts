import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { openDatabase } from '../../../../controller/store/database.ts'
import { takeProcessLock } from '../../../../controller/store/process-lock.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../shared/log.ts'
import { atomicConformance, storeConformance } from './conformance.ts'

const open = async (file = ':memory:') =>
  createSqliteStore({ database: openDatabase({ file }), log: silentLog })

storeConformance('sqlite', open)
atomicConformance('sqlite', open)

const code = { hash: 'ab'.repeat(32), createdAt: 1, expiresAt: 2 }

function folder(t: { teardown(fn: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'mooring-store-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

t.test('what was committed is there after a restart', async (t) => {
  const file = join(folder(t), 'controller.sqlite')
  const before = await open(file)
  await before.commit([{ put: 'enrolment', name: 'first', value: code }])
  const version = (await before.get('enrolment', 'first'))?.version
  await before.close()
  const after = await open(file)
  t.teardown(() => after.close())
  t.same((await after.get('enrolment', 'first'))?.value, code)
  t.equal((await after.get('enrolment', 'first'))?.version, version)
})

t.test('what another process wrote is seen', async (t) => {
  const file = join(folder(t), 'controller.sqlite')
  const running = await open(file)
  t.teardown(() => running.close())
  t.equal(await running.get('enrolment', 'first'), undefined)
  const other = await open(file)
  await other.commit([{ put: 'enrolment', name: 'first', value: code }])
  await other.close()
  t.same((await running.get('enrolment', 'first'))?.value, code)
  const stored = await running.get('enrolment', 'first')
  await running.commit([{ remove: 'enrolment', name: 'first', version: stored?.version ?? '' }])
  t.equal(await running.get('enrolment', 'first'), undefined)
})

t.test('a file that is no database is refused and left as it is', async (t) => {
  const file = join(folder(t), 'controller.sqlite')
  writeFileSync(file, 'precious, but no database '.repeat(200))
  t.throws(() => openDatabase({ file }), { code: 'STORE_UNREADABLE' })
  t.match(readFileSync(file, 'utf8'), /^precious/)
})

t.test('a damaged database is refused', async (t) => {
  const file = join(folder(t), 'controller.sqlite')
  const store = await open(file)
  for (let i = 0; i < 200; i += 1) {
    await store.commit([{ put: 'enrolment', name: `n${i}`, value: { ...code, hash: 'x'.repeat(200) } }])
  }
  await store.close()
  const bytes = readFileSync(file)
  bytes.fill(0x5a, 4096 * 3, 4096 * 6)
  writeFileSync(file, bytes)
  t.throws(() => openDatabase({ file }), { code: 'STORE_UNREADABLE' })
})

t.test('a file of a newer controller is refused', async (t) => {
  const file = join(folder(t), 'controller.sqlite')
  await (await open(file)).close()
  const raw = new DatabaseSync(file)
  raw.exec('PRAGMA user_version = 999')
  raw.close()
  t.throws(() => openDatabase({ file }), { code: 'STORE_UNREADABLE', detail: /newer/ })
})

t.test('a folder that is not there is refused', async (t) => {
  t.throws(() => openDatabase({ file: join(folder(t), 'absent', 'x.sqlite') }), { code: 'STORE_UNREADABLE' })
})

t.test('a listener that throws does not harm the commit or other listeners', async (t) => {
  const store = await open()
  t.teardown(() => store.close())
  let heard = 0
  store.onChange(() => {
    throw new Error('boom')
  })
  store.onChange(() => {
    heard += 1
  })
  await store.commit([{ put: 'enrolment', name: 'first', value: code }])
  t.equal(heard, 1)
})

t.test('two processes cannot hold one data folder', async (t) => {
  const file = join(folder(t), 'lock')
  const first = takeProcessLock(file)
  t.throws(() => takeProcessLock(file), { code: 'STORE_UNREADABLE', detail: /another controller/ })
  first.release()
  takeProcessLock(file).release()
})
