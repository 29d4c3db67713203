import t from 'tap'
import type { OperatorRecord, TokenRecord } from '../../../../controller/store/records.ts'
import type { Kind, ResourceStore } from '../../../../controller/store/resource-store.ts'
import { MooringError } from '../../../../shared/errors.ts'

const token = (fields: Partial<TokenRecord> = {}): TokenRecord => ({
  pool: 'web',
  hash: 'ab'.repeat(32),
  uses: 1,
  usedBy: [],
  createdAt: 1,
  expiresAt: 2,
  createdBy: 'operator:ada',
  ...fields,
})

const operator: OperatorRecord = {
  hash: 'cd'.repeat(32),
  role: 'viewer',
  pools: ['*'],
  createdAt: 1,
  expiresAt: 2,
}

/** What every store of the controller must do; each implementation runs it on stores it opens. */
export function storeConformance(name: string, open: () => Promise<ResourceStore>): void {
  t.test(`${name}: what was put is got and listed, by kind`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    t.equal(await store.get('token', 'a'), undefined)
    t.same(await store.list('token'), [])
    await store.commit([
      { put: 'token', name: 'a', value: token() },
      { put: 'operator', name: 'a', value: operator },
    ])
    const got = await store.get('token', 'a')
    t.same(got?.value, token())
    t.same([got?.kind, got?.name], ['token', 'a'])
    t.same(
      (await store.list('token')).map((s) => s.name),
      ['a'],
    )
    t.same((await store.get('operator', 'a'))?.value, operator)
  })

  t.test(`${name}: a put without a version must not find anything`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    await t.rejects(store.commit([{ put: 'token', name: 'a', value: token({ uses: 2 }) }]), conflict)
    t.equal((await store.get('token', 'a'))?.value.uses, 1)
  })

  t.test(`${name}: a put with a stale version is a conflict and changes nothing`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    const first = await version(store, 'token', 'a')
    await store.commit([{ put: 'token', name: 'a', value: token({ uses: 2 }), version: first }])
    t.not(await version(store, 'token', 'a'), first, 'every write changes the version')
    await t.rejects(
      store.commit([{ put: 'token', name: 'a', value: token({ uses: 3 }), version: first }]),
      conflict,
    )
    t.equal((await store.get('token', 'a'))?.value.uses, 2)
  })

  t.test(`${name}: a put with a version must find it`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await t.rejects(store.commit([{ put: 'token', name: 'a', value: token(), version: '1' }]), conflict)
  })

  t.test(`${name}: a version is never used again, also when the name is`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    const first = await version(store, 'token', 'a')
    await store.commit([{ remove: 'token', name: 'a', version: first }])
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    await t.rejects(store.commit([{ put: 'token', name: 'a', value: token(), version: first }]), conflict)
    await t.rejects(store.commit([{ remove: 'token', name: 'a', version: first }]), conflict)
  })

  t.test(`${name}: removing is guarded by a version, and harmless when repeated`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    await t.rejects(store.commit([{ remove: 'token', name: 'a', version: 'other' }]), conflict)
    const now = await version(store, 'token', 'a')
    await store.commit([{ remove: 'token', name: 'a', version: now }])
    await store.commit([{ remove: 'token', name: 'a', version: now }])
    await store.commit([{ remove: 'token', name: 'a' }])
    t.equal(await store.get('token', 'a'), undefined)
  })

  t.test(`${name}: of writers with one version exactly one wins`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    const seen = await version(store, 'token', 'a')
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        store.commit([{ put: 'token', name: 'a', value: token({ uses: i + 10 }), version: seen }]),
      ),
    )
    t.equal(results.filter((r) => r.status === 'fulfilled').length, 1)
  })

  t.test(`${name}: listeners hear of every commit until they stop listening`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    const heard: string[] = []
    const stop = store.onChange((kind, name) => heard.push(`${kind}/${name}`))
    await store.commit([
      { put: 'token', name: 'a', value: token() },
      { put: 'operator', name: 'b', value: operator },
    ])
    await store.commit([{ remove: 'token', name: 'a' }])
    await until(() => heard.length >= 3)
    stop()
    await store.commit([{ put: 'token', name: 'c', value: token() }])
    t.same(heard, ['token/a', 'operator/b', 'token/a'])
  })

  t.test(`${name}: what was given or got cannot be changed in place`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    const value = { ...token(), usedBy: ['x'] }
    await store.commit([{ put: 'token', name: 'a', value }])
    value.usedBy.push('y')
    const got = await store.get('token', 'a')
    try {
      const usedBy = got?.value.usedBy as string[] | undefined
      usedBy?.push('z')
    } catch {
      // A store that freezes what it hands out throws here.
    }
    t.same((await store.get('token', 'a'))?.value.usedBy, ['x'])
  })

  t.test(`${name}: an empty commit is nothing`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await t.resolves(store.commit([]))
  })
}

/** Only for stores whose commits are all or nothing. */
export function atomicConformance(name: string, open: () => Promise<ResourceStore>): void {
  t.test(`${name}: one conflict in a commit undoes all of it`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    await store.commit([{ put: 'token', name: 'a', value: token() }])
    await t.rejects(
      store.commit([
        { put: 'operator', name: 'new', value: operator },
        { put: 'token', name: 'a', value: token() },
      ]),
      conflict,
    )
    t.equal(await store.get('operator', 'new'), undefined)
  })
}

const conflict = { name: MooringError.name, code: 'CONFLICT' }

async function version(store: ResourceStore, kind: Kind, name: string): Promise<string> {
  return (await store.get(kind, name))?.version ?? 'none'
}

async function until(ready: () => boolean): Promise<void> {
  while (!ready()) await new Promise((resolve) => setImmediate(resolve))
}
