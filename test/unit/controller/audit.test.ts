import t from 'tap'
import { type AuditEntry, createAudit } from '../../../controller/audit.ts'
import { createAuditTable } from '../../../controller/store/audit-table.ts'
import { openDatabase } from '../../../controller/store/database.ts'
import type { Clock } from '../../../shared/clock.ts'

const clock: Clock = { now: () => 1000, sleep: async () => {} }
const entry = (target: string): AuditEntry => ({
  actor: 'operator:ada',
  action: 'vm.drain',
  target,
  outcome: 'done',
})

function setUp(keep?: number) {
  const database = openDatabase({ file: ':memory:' })
  const sink = createAuditTable({ database })
  return { database, audit: createAudit({ sink, clock, ...(keep !== undefined && { keep }) }) }
}

t.test('records get time and a growing number, and are found again', async (t) => {
  const { audit } = setUp()
  await audit.record(entry('vm/a'))
  await Promise.all([audit.record(entry('vm/b')), audit.record({ ...entry('vm/a'), code: 'FORBIDDEN' })])
  const records = await audit.query({})
  t.same(
    records.map((r) => [r.seq, r.time, r.target]),
    [
      [1, 1000, 'vm/a'],
      [2, 1000, 'vm/b'],
      [3, 1000, 'vm/a'],
    ],
  )
  t.equal(records[2]?.code, 'FORBIDDEN')
  t.same(
    (await audit.query({ target: 'vm/a', after: 1 })).map((r) => r.seq),
    [3],
  )
  t.same(
    (await audit.query({ target: 'vm/a', limit: 1 })).map((r) => r.seq),
    [3],
    'without `after` the newest come',
  )
  t.same(
    (await audit.query({ after: 0, limit: 2 })).map((r) => r.seq),
    [1, 2],
  )
})

t.test('the oldest go first, and numbers go on', async (t) => {
  const { audit } = setUp(3)
  for (let i = 0; i < 10; i += 1) await audit.record(entry(`vm/${i}`))
  t.same(
    (await audit.query({ after: 0 })).map((r) => r.seq),
    [8, 9, 10],
  )
})

t.test('a record that cannot be written is an error for its writer', async (t) => {
  const { audit, database } = setUp()
  database.exec('DROP TABLE audit')
  await t.rejects(audit.record(entry('vm/a')), { code: 'UNAVAILABLE' })
})

t.test('a detail that is too long is cut', async (t) => {
  const { audit } = setUp()
  await audit.record({ ...entry('vm/a'), detail: 'x'.repeat(5000) })
  t.equal((await audit.query({}))[0]?.detail?.length, 1024)
})
