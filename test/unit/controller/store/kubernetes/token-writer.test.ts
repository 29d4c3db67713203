import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { judgeToken, usedToken } from '../../../../../controller/join/token.ts'
import type { KubernetesStore } from '../../../../../controller/store/kubernetes/store.ts'
import { isMooringError } from '../../../../../shared/errors.ts'
import { startApiServer } from '../../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../../fakes/authority.ts'
import { clientOf, openKubernetesStore } from '../../../../fakes/kubernetes-store.ts'

t.setTimeout(300_000)
const authority = await createTestAuthority('API server')
const name = 'tok-0123456789abcdef'
const key = (n: number) => createHash('sha256').update(String(n)).digest('hex')
const fresh = {
  pool: 'web',
  hash: 'ab'.repeat(32),
  uses: 200,
  usedBy: [],
  createdAt: 1,
  expiresAt: 2_000_000_000_000,
  createdBy: 'operator:ada',
}

async function open(t: Test, replicas: number) {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const stores: KubernetesStore[] = []
  for (let n = 0; n < replicas; n += 1) {
    const store = await openKubernetesStore(clientOf(t, server.kubeconfig))
    t.teardown(() => store.close())
    stores.push(store)
  }
  return { server, stores }
}

/** As a join does it: decide, commit, and again after a conflict. */
async function use(store: KubernetesStore, joiner: string): Promise<boolean> {
  for (;;) {
    const stored = await store.get('token', name)
    const refused = judgeToken({ stored, hash: fresh.hash, pool: 'web', key: joiner, now: 1 })
    if (refused !== undefined || stored === undefined) return false
    const value = usedToken(stored.value, joiner)
    if (value === stored.value) return true
    try {
      await store.commit([{ put: 'token', name, version: stored.version, value }])
      return true
    } catch (error) {
      if (!isMooringError(error, 'CONFLICT')) throw error
    }
  }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5))
}

t.test('replicas that race grant every use, and not one more', async (t) => {
  const { stores } = await open(t, 3)
  const [first] = stores
  await first?.commit([{ put: 'token', name, value: fresh }])
  await until(async () => (await Promise.all(stores.map((s) => s.get('token', name)))).every(Boolean))
  // Each key comes to two of them, as when an answer was lost; a replica admits one after the other.
  const granted: string[] = []
  await Promise.all(
    stores.map(async (store, replica) => {
      for (let n = 0; n < 260; n += 1) {
        if (n % 3 !== replica && (await use(store, key(n)))) granted.push(key(n))
      }
    }),
  )
  const admitted = new Set(granted)
  t.equal(admitted.size, 200)
  await until(async () => (await stores[0]?.get('token', name))?.value.usedBy.length === 200)
  const known = (await stores[0]?.get('token', name))?.value.usedBy ?? []
  t.same(new Set(known), admitted, 'whoever was let in is written down')
  t.equal(known.length, 200, 'once')
  for (const joiner of admitted) t.ok(await use(stores[1] as KubernetesStore, joiner), 'may come again')
})

t.test('what was used is known after a restart', async (t) => {
  const { stores, server } = await open(t, 1)
  const store = stores[0] as KubernetesStore
  await store.commit([{ put: 'token', name, value: fresh }])
  for (let n = 0; n < 150; n += 1) await use(store, key(n))
  const after = await openKubernetesStore(clientOf(t, server.kubeconfig))
  t.teardown(() => after.close())
  const usedBy = (await after.get('token', name))?.value.usedBy ?? []
  t.same(new Set(usedBy), new Set(Array.from({ length: 150 }, (_, n) => key(n))))
  t.equal((await after.list('token')).length, 1, 'pages are no tokens')
})

t.test('a use costs one small write, however many there were', async (t) => {
  const { stores, server } = await open(t, 1)
  const store = stores[0] as KubernetesStore
  await store.commit([{ put: 'token', name, value: { ...fresh, uses: 10_000 } }])
  for (let n = 0; n < 200; n += 1) await use(store, key(n))
  const before = server.requests.length
  const bytes = server.received
  for (let n = 200; n < 250; n += 1) await use(store, key(n))
  // A page that is begun is two more calls, for one use in 64 at most.
  t.ok(server.requests.length - before < 70, `${server.requests.length - before} requests`)
  t.ok(server.received - bytes < 50 * 6_000, `${server.received - bytes} bytes`)
})

t.test('a token that was removed lets nobody in, though another replica does not know yet', async (t) => {
  const { stores, server } = await open(t, 2)
  const [one, other] = stores as [KubernetesStore, KubernetesStore]
  await one.commit([{ put: 'token', name, value: fresh }])
  await until(async () => (await other.get('token', name)) !== undefined)
  for (let n = 0; n < 100; n += 1) await use(other, key(n))
  server.faults.mute = true
  await one.commit([{ remove: 'token', name }])
  for (let n = 100; n < 110; n += 1) t.equal(await use(other, key(n)), false)
  t.same(
    server.names('secrets').filter((secret) => secret.includes('token')),
    [],
    'nothing of it is left',
  )
})

t.test('pages that a replica left which died meanwhile are swept by the next start', async (t) => {
  const { stores, server } = await open(t, 1)
  const store = stores[0] as KubernetesStore
  await store.commit([{ put: 'token', name, value: fresh }])
  for (let n = 0; n < 150; n += 1) await use(store, key(n))
  let removals = 0
  server.faults.refuse = (method) => (method === 'DELETE' && ++removals > 1 ? 500 : undefined)
  await t.rejects(store.commit([{ remove: 'token', name }]), { code: 'STORE_UNAVAILABLE' })
  t.not(server.names('secrets').length, 0)
  server.faults.refuse = () => undefined
  const after = await openKubernetesStore(clientOf(t, server.kubeconfig))
  t.teardown(() => after.close())
  t.same(server.names('secrets'), [])
})
