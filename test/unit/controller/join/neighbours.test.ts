import fc from 'fast-check'
import t from 'tap'
import { createNeighbours } from '../../../../controller/join/neighbours.ts'
import { openDatabase } from '../../../../controller/store/database.ts'
import type { Write } from '../../../../controller/store/resource-store.ts'
import { createSqliteStore } from '../../../../controller/store/sqlite.ts'
import { silentLog } from '../../../../shared/log.ts'
import { vmOf } from '../mesh/sample.ts'

const names = ['vm-a', 'vm-b', 'vm-c', 'vm-d'] as const
const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as const
const step = fc.record({
  name: fc.constantFrom(...names),
  address: fc.option(fc.constantFrom(...addresses), { nil: undefined }),
  isAsked: fc.boolean(),
})

function createStore() {
  const database = openDatabase({ file: ':memory:' })
  return createSqliteStore({ database, log: silentLog })
}

t.test('whatever was written, neighbours are those of a look at every VM', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const store = createStore()
      const neighbours = createNeighbours({ store })
      for (const { name, address, isAsked } of steps) {
        const old = await store.get('vm', name)
        const version = old && { version: old.version }
        const writes: readonly Write[] =
          address !== undefined
            ? [{ put: 'vm', name, value: vmOf({ address }), ...version }]
            : old === undefined
              ? []
              : [{ remove: 'vm', name, ...version }]
        await store.commit(writes)
        if (!isAsked) continue
        const asked = addresses.slice(0, 2)
        const seen = await neighbours.at(asked, 'vm-a')
        const all = (await store.list('vm')).filter(
          (vm) => vm.name !== 'vm-a' && (asked as readonly string[]).includes(vm.value.address),
        )
        const byName = (vms: typeof all) => vms.toSorted((a, b) => a.name.localeCompare(b.name))
        t.same(byName([...seen]), byName([...all]))
      }
      await store.close()
    }),
    { numRuns: 100 },
  )
})

t.test('one that was written while the list was read is not missed', async (t) => {
  const store = createStore()
  await store.commit([{ put: 'vm', name: 'vm-a', value: vmOf({ address: '10.0.0.1' }) }])
  const neighbours = createNeighbours({
    store: {
      ...store,
      async list(kind) {
        const listed = await store.list(kind)
        await store.commit([{ put: 'vm', name: 'vm-b', value: vmOf({ address: '10.0.0.1' }) }])
        return listed
      },
    },
  })
  const found = await neighbours.at(['10.0.0.1'], '')
  t.same(found.map(({ name }) => name).toSorted(), ['vm-a', 'vm-b'])
  await store.close()
})

t.test('a list that failed is read again', async (t) => {
  const store = createStore()
  await store.commit([{ put: 'vm', name: 'vm-a', value: vmOf({ address: '10.0.0.1' }) }])
  let lists = 0
  const neighbours = createNeighbours({
    store: {
      ...store,
      async list(kind) {
        lists += 1
        if (lists === 1) throw new Error('away')
        return store.list(kind)
      },
    },
  })
  await t.rejects(neighbours.at(['10.0.0.1'], ''), { message: 'away' })
  t.equal((await neighbours.at(['10.0.0.1'], '')).length, 1)
  await neighbours.at(['10.0.0.1'], '')
  t.equal(lists, 2, 'and once alone')
  await store.close()
})
