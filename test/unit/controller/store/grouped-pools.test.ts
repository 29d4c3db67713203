import t, { type Test } from 'tap'
import type { GroupSpec } from '../../../../controller/mesh/kubernetes/workload-group.ts'
import { openDatabase } from '../../../../controller/store/database.ts'
import { createGroupedPools } from '../../../../controller/store/grouped-pools.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import type { PoolSpec } from '../../../../shared/api/operator.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { loopbackPool } from '../../../fakes/controller.ts'
import { poolOf } from '../mesh/sample.ts'

const grouped: PoolSpec = { ...loopbackPool, namespace: 'shop', workloadGroup: 'web', labels: { app: 'own' } }

async function open(t: Test, specs: Readonly<Record<string, PoolSpec>>) {
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  for (const [name, spec] of Object.entries(specs)) {
    await store.commit([{ put: 'pool', name, value: poolOf(spec) }])
  }
  const groups = new Map<string, GroupSpec>()
  const told: string[] = []
  const pools = await createGroupedPools({
    store,
    group: (namespace, name) => groups.get(`${namespace}/${name}`),
    check(_, { labels }) {
      if (labels?.bad !== undefined) throw new MooringError('REQUEST_INVALID', { detail: 'label bad' })
    },
    log: silentLog,
  })
  const stop = pools.store.onChange((kind, name) => told.push(`${kind}/${name}`))
  t.teardown(async () => {
    stop()
    pools.close()
    await store.close()
  })
  const labels = async (name: string) => (await pools.store.get('pool', name))?.value.spec.labels
  return { store, groups, pools, told, labels }
}

t.test('what a pool leaves open is as its group says, and what it says stands', async (t) => {
  const { store, pools, groups, labels } = await open(t, { web: grouped, other: loopbackPool })
  t.same(await labels('web'), { app: 'own' }, 'there is no such group yet')
  groups.set('shop/web', { metadata: { labels: { app: 'theirs', tier: 'front' } } })
  t.same(await labels('web'), { app: 'own', tier: 'front' })
  t.same(pools.current().get('web')?.spec.labels, { app: 'own', tier: 'front' })
  t.same((await pools.store.list('pool')).find(({ name }) => name === 'web')?.value.spec.labels, {
    app: 'own',
    tier: 'front',
  })
  t.same((await store.get('pool', 'web'))?.value.spec, grouped, 'what is stored is as it was')
  t.same((await pools.store.get('pool', 'other'))?.value.spec, loopbackPool)
})

t.test('its pools are told of a change, and those alone', async (t) => {
  const { pools, groups, told, store } = await open(t, {
    web: grouped,
    elsewhere: { ...grouped, namespace: 'bank' },
    other: loopbackPool,
  })
  groups.set('shop/web', { template: { network: 'east' } })
  pools.groupChanged('shop', 'web')
  t.same(told, ['pool/web'])
  t.equal(pools.current().get('web')?.spec.address?.network, 'east')
  groups.delete('shop/web')
  pools.groupChanged('shop', 'web')
  t.same(pools.current().get('web')?.spec, grouped)
  await store.commit([{ put: 'pool', name: 'late', value: poolOf(grouped) }])
  t.same(told, ['pool/web', 'pool/web', 'pool/late'], 'and of what is stored')
  await pools.store.list('pool')
  pools.groupChanged('shop', 'web')
  t.same(told.slice(3), ['pool/web', 'pool/late'])
})

t.test('what says the same is the same object', async (t) => {
  const { pools, groups } = await open(t, { web: grouped })
  groups.set('shop/web', { template: { network: 'east' } })
  const before = (await pools.store.get('pool', 'web'))?.value
  t.equal(pools.current().get('web'), before)
  groups.set('shop/web', { template: { network: 'east' } })
  t.equal((await pools.store.get('pool', 'web'))?.value, before)
  groups.set('shop/web', { template: { network: 'west' } })
  t.not((await pools.store.get('pool', 'web'))?.value, before)
})

t.test('a group that says what no pool may say is left out', async (t) => {
  const { groups, labels } = await open(t, { web: grouped })
  groups.set('shop/web', { template: { labels: { bad: 'x' } } })
  t.same(await labels('web'), { app: 'own' })
})
