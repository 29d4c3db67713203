import t from 'tap'
import { createEffects } from '../../../../controller/effects.ts'
import { createWishes } from '../../../../controller/fleet/wishes.ts'
import { openDatabase } from '../../../../controller/store/database.ts'
import type { VmRecord } from '../../../../controller/store/records.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { createFakeMesh } from '../../../fakes/mesh.ts'
import { record } from './situations.ts'

async function wishing(changes: Partial<VmRecord> = {}) {
  const clock = createFakeClock()
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  await store.commit([{ put: 'vm', name: 'vm-1', value: record({ phase: 'ready', ...changes }) }])
  const wishes = createWishes({ store, clock, mesh: createFakeMesh({ clock }), effects: createEffects() })
  const stored = async () => (await store.get('vm', 'vm-1'))?.value
  return { clock, store, wishes, stored }
}

const by = 'operator:ann'

t.test('a drain is written as a wish; a repeated one does not begin it anew', async (t) => {
  const { clock, store, wishes, stored } = await wishing()
  const wish = { reason: 'operator', after: 'leave', by, deadlineSeconds: 7 } as const
  await wishes.drain('vm-1', wish)
  const first = (await stored())?.drain
  t.same(first, { ...wish, requestedAt: clock.now() })
  const version = (await store.get('vm', 'vm-1'))?.version
  await clock.advance(1_000)
  await wishes.drain('vm-1', { ...wish, by: 'operator:bob' })
  t.same((await stored())?.drain, first)
  t.equal((await store.get('vm', 'vm-1'))?.version, version, 'and costs no write')
})

t.test('holding can become leaving, and leaving never holding', async (t) => {
  const { wishes, stored } = await wishing()
  await wishes.drain('vm-1', { reason: 'operator', after: 'hold', by })
  await wishes.drain('vm-1', { reason: 'scale-in', after: 'leave', by })
  t.match((await stored())?.drain, { after: 'leave', reason: 'scale-in' })
  await wishes.drain('vm-1', { reason: 'operator', after: 'hold', by })
  t.match((await stored())?.drain, { after: 'leave', reason: 'scale-in' })
})

t.test('a VM that has left cannot be drained, and its next life is not either', async (t) => {
  const { wishes, stored } = await wishing({ phase: 'left' })
  await wishes.drain('vm-1', { reason: 'operator', after: 'leave', by })
  t.equal((await stored())?.drain, undefined)
})

t.test('a removal drains first, and can be hastened, not slowed', async (t) => {
  const { clock, wishes, stored } = await wishing()
  await wishes.remove('vm-1', { by, now: false })
  t.match(await stored(), { revoked: { by, now: false }, drain: { reason: 'removed', after: 'leave' } })
  const at = clock.now()
  await clock.advance(1_000)
  await wishes.remove('vm-1', { by, now: true })
  t.match((await stored())?.revoked, { at, now: true })
  await wishes.remove('vm-1', { by: 'operator:bob', now: false })
  t.match((await stored())?.revoked, { by, now: true })
})

t.test(
  'one that is leaving already keeps its drain when it is removed; one that is held does not',
  async (t) => {
    const leaving = { reason: 'shutdown', after: 'leave', requestedAt: 1, by: 'vm:vm-1' } as const
    const { wishes, stored } = await wishing({ phase: 'draining', drain: leaving })
    await wishes.remove('vm-1', { by, now: false })
    t.same((await stored())?.drain, leaving)
    const held = await wishing({ phase: 'draining', drain: { ...leaving, after: 'hold' } })
    await held.wishes.remove('vm-1', { by, now: false })
    t.match((await held.stored())?.drain, { reason: 'removed', after: 'leave' })
  },
)

t.test('the denial outlasts every workload certificate', async (t) => {
  const { clock, wishes, stored } = await wishing({ workloadCertificateUntil: 5 })
  await wishes.remove('vm-1', { by, now: true })
  t.equal((await stored())?.revoked?.evictUntil, clock.now() + 3_600_000)
  const until = clock.now() + 9_999_999
  const later = await wishing({ workloadCertificateUntil: until })
  await later.wishes.remove('vm-1', { by, now: true })
  t.equal((await later.stored())?.revoked?.evictUntil, until)
})

t.test('the latest end of a workload certificate never goes back', async (t) => {
  const { wishes, stored } = await wishing({ workloadCertificateUntil: 1_000 })
  await wishes.issued('vm-1', { until: 2_000 })
  await wishes.issued('vm-1', { until: 1_500 })
  t.equal((await stored())?.workloadCertificateUntil, 2_000)
})

t.test('a conflict is tried again, some times; other errors are not', async (t) => {
  const { store, wishes, stored } = await wishing()
  const commit = store.commit.bind(store)
  let conflicts = 5
  store.commit = async (writes) => {
    conflicts -= 1
    if (conflicts >= 0) throw new MooringError('CONFLICT')
    return commit(writes)
  }
  await wishes.drain('vm-1', { reason: 'operator', after: 'leave', by })
  t.ok((await stored())?.drain)
  conflicts = 1_000
  await t.rejects(wishes.remove('vm-1', { by, now: true }), { code: 'CONFLICT' })
  store.commit = async () => {
    throw new MooringError('UNAVAILABLE')
  }
  await t.rejects(wishes.remove('vm-1', { by, now: true }), { code: 'UNAVAILABLE' })
  await t.rejects(wishes.remove('vm-2', { by, now: true }), { code: 'NOT_FOUND' })
})
