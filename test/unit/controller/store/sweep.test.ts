import t from 'tap'
import { openDatabase } from '../../../../controller/store/database.ts'
import type { OperatorRecord, TokenRecord, VmRecord } from '../../../../controller/store/records.ts'
import type { Stored } from '../../../../controller/store/resource-store.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { keepSwept, sweepWrites } from '../../../../controller/store/sweep.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const day = 86_400_000
const now = 1_800_000_000_000
const token = (name: string, expiresAt: number): Stored<'token'> => ({
  kind: 'token',
  name,
  version: '1',
  value: {
    pool: 'web',
    hash: '',
    uses: 1,
    usedBy: [],
    createdAt: 0,
    expiresAt,
    createdBy: '',
  } satisfies TokenRecord,
})
const operator = (name: string, expiresAt: number): Stored<'operator'> => ({
  kind: 'operator',
  name,
  version: '1',
  value: { hash: '', role: 'viewer', pools: ['*'], createdAt: 0, expiresAt } satisfies OperatorRecord,
})
const vm = (name: string, phaseSince: number, over: Partial<VmRecord> = {}): Stored<'vm'> => ({
  kind: 'vm',
  name,
  version: '1',
  value: { phase: 'left', phaseSince, ...over } as VmRecord,
})
const evicted = { at: 0, by: '', evictUntil: now + 1, now: false }

t.test('tokens and operators go when nobody needs to be told that they ended', async (t) => {
  const writes = sweepWrites(
    {
      tokens: [token('live', now + 1), token('ended', now - 1), token('old', now - 2 * day)],
      operators: [operator('live', now + 1), operator('ended', now - day), operator('old', now - 31 * day)],
      vms: [],
    },
    10,
    now,
  )
  t.same(
    writes.map(({ name }) => name),
    ['old', 'old'],
  )
})

t.test('of too many VMs that left the oldest go, but none that is under eviction or alive', async (t) => {
  const vms = [
    vm('a', 1),
    vm('b', 3),
    vm('c', 2),
    vm('d', 0, { revoked: evicted }),
    vm('e', 0, { phase: 'ready' }),
  ]
  t.same(
    sweepWrites({ tokens: [], operators: [], vms }, 2, now).map(({ name }) => name),
    ['a'],
  )
  t.same(sweepWrites({ tokens: [], operators: [], vms }, 3, now), [])
})

t.test('it is done again and again, until the controller stops', async (t) => {
  const clock = createFakeClock(now)
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  t.teardown(() => store.close())
  await store.commit([{ put: 'token', name: 'a', value: token('a', now).value }])
  const stop = new AbortController()
  const swept = keepSwept({ store, clock, log: silentLog, keepLeft: 1, everyMs: 60_000 }, stop.signal)
  await clock.untilSleeping()
  t.ok(await store.get('token', 'a'))
  await clock.advance(2 * day)
  await clock.untilSleeping()
  t.notOk(await store.get('token', 'a'))
  stop.abort(new Error('stop'))
  await t.rejects(swept, /stop/)
})
