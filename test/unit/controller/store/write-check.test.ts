import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openDatabase } from '../../../../controller/store/database.ts'
import { createWriteCheck } from '../../../../controller/store/write-check.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function setUp(t: { teardown(fn: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-write-check-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const database = openDatabase({ file: ':memory:' })
  const clock = createFakeClock()
  return { folder, database, clock, check: createWriteCheck({ database, folder, clock }) }
}

t.test('what can be written is well, and leaves nothing behind', async (t) => {
  const { folder, check } = setUp(t)
  t.same(await check.look(), [
    { part: 'store', ok: true, detail: 'writable' },
    { part: 'disk', ok: true, detail: 'writable' },
  ])
  t.same(readdirSync(folder), [])
})

t.test('each part says why it cannot be written, and is looked at again after a while', async (t) => {
  const { folder, database, clock, check } = setUp(t)
  await check.look()
  rmSync(folder, { recursive: true })
  database.exec('PRAGMA query_only = on')
  t.ok(
    (await check.look()).every(({ ok }) => ok),
    'many who ask cost one trial',
  )
  await clock.advance(2_000)
  const [store, disk] = await check.look()
  t.match(store, { part: 'store', ok: false, detail: /cannot be written.*readonly/ })
  t.match(disk, { part: 'disk', ok: false, detail: /ENOENT/ })
  database.exec('PRAGMA query_only = off')
  await clock.advance(2_000)
  t.match(await check.look(), [{ ok: true }, { ok: false }])
})
