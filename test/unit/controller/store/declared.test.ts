import t from 'tap'
import { openDatabase } from '../../../../controller/store/database.ts'
import { createDeclared } from '../../../../controller/store/declared.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../shared/log.ts'
import { loopbackPool } from '../../../fakes/controller.ts'

t.test('the identities of all pools, and of no other', async (t) => {
  const store = createSqliteStore({ database: openDatabase({ file: ':memory:' }), log: silentLog })
  t.teardown(() => store.close())
  const value = { spec: loopbackPool, createdAt: 0, updatedAt: 0 }
  await store.commit([{ put: 'pool', name: 'web', value }])
  const declared = await createDeclared(store)
  t.same([...declared.current()], ['default/web'])
  await store.commit([
    { put: 'pool', name: 'db', value: { ...value, spec: { ...loopbackPool, serviceAccount: 'db' } } },
  ])
  await new Promise((resolve) => setImmediate(resolve))
  t.same([...declared.current()].toSorted(), ['default/db', 'default/web'])
  await store.commit([{ remove: 'pool', name: 'web' }])
  await new Promise((resolve) => setImmediate(resolve))
  t.same([...declared.current()], ['default/db'])
  declared.close()
})
