import t, { type Test } from 'tap'
import type { Client } from '../../../../../controller/kubernetes/client.ts'
import type { CustomObject } from '../../../../../controller/store/kubernetes/resources.ts'
import {
  pools,
  statusAnnotation,
  virtualMachines,
} from '../../../../../controller/store/kubernetes/resources.ts'
import type { KubernetesStoreDeps } from '../../../../../controller/store/kubernetes/store.ts'
import type { ResourceStore } from '../../../../../controller/store/resource-store.ts'
import { MooringError } from '../../../../../shared/errors.ts'
import { startApiServer } from '../../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../../fakes/authority.ts'
import { loopbackPool } from '../../../../fakes/controller.ts'
import { clientOf, fullRecord, leftOut, openKubernetesStore } from '../../../../fakes/kubernetes-store.ts'
import { storeConformance } from '../conformance.ts'

const authority = await createTestAuthority('API server')
const pool = {
  spec: { ...loopbackPool, namespace: 'shop' },
  createdAt: 1_700_000_000_001,
  updatedAt: 1_700_000_000_002,
}
const plain = leftOut(fullRecord, 'drain', 'revoked', 'artifact', 'update', 'restart', 'refusedArtifact')

async function open(t: Test, over: Partial<KubernetesStoreDeps> = {}) {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const client = clientOf(t, server.kubeconfig)
  const store = await openKubernetesStore(client, over)
  t.teardown(() => store.close())
  return { server, client, store }
}

/** Without the controller, as by somebody who takes its finalizer off. */
async function vanish(client: Client, namespace: string, name: string): Promise<void> {
  const object = await client.get<CustomObject>(virtualMachines, { namespace, name })
  if (object === undefined) throw new Error(`no ${name}`)
  await client.replace(virtualMachines, { ...object, metadata: { ...object.metadata, finalizers: [] } })
  await client.remove(virtualMachines, { namespace, name })
}

storeConformance('kubernetes', async () => (await open(t)).store)

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function put(store: ResourceStore, name: string, value: typeof fullRecord): Promise<void> {
  const version = (await store.get('vm', name))?.version
  await store.commit([{ put: 'vm', name, value, ...(version !== undefined && { version }) }])
}

t.test('pools and VMs live in the namespace of the pool, and come back as they were put', async (t) => {
  const { store, client } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  t.same((await store.get('pool', 'web'))?.value, pool)
  await put(store, 'vm-1', fullRecord)
  t.same((await store.get('vm', 'vm-1'))?.value, fullRecord)
  const object = await client.get<CustomObject>(virtualMachines, { namespace: 'shop', name: 'vm-1' })
  t.equal(object?.status, undefined, 'a VM is made by one request')
  t.match(object, { metadata: { labels: { 'mesh.mooring/pool': 'web' } }, spec: { address: '10.0.0.7' } })
  await put(store, 'vm-1', { ...fullRecord, phase: 'unhealthy', health: 'unhealthy' })
  const changed = await client.get<CustomObject>(virtualMachines, { namespace: 'shop', name: 'vm-1' })
  t.match(changed?.status, {
    phase: 'unhealthy',
    observedGeneration: 1,
    phaseSince: '2027-01-15T08:00:00.500Z',
  })
  t.match(changed?.status?.conditions, [{ type: 'Ready', lastTransitionTime: '2027-01-15T08:00:00.500Z' }])
})

t.test('another replica sees every write, and a conflict lets it see at once', async (t) => {
  const { store, server } = await open(t)
  const other = await openKubernetesStore(clientOf(t, server.kubeconfig))
  t.teardown(() => other.close())
  const heard: string[] = []
  other.onChange((kind, name) => heard.push(`${kind}/${name}`))
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await put(store, 'vm-1', plain)
  await until(async () => (await other.get('vm', 'vm-1')) !== undefined)
  t.same((await other.get('vm', 'vm-1'))?.value, plain)
  t.same(heard, ['pool/web', 'vm/vm-1'])
  server.faults.mute = true
  const seen = (await other.get('vm', 'vm-1'))?.version ?? ''
  await put(store, 'vm-1', { ...plain, address: '10.0.0.8' })
  t.equal((await other.get('vm', 'vm-1'))?.value.address, '10.0.0.7')
  await t.rejects(other.commit([{ put: 'vm', name: 'vm-1', value: plain, version: seen }]), {
    code: 'CONFLICT',
  })
  t.equal((await other.get('vm', 'vm-1'))?.value.address, '10.0.0.8', 'what it lost against is read')
  await put(other, 'vm-1', { ...plain, address: '10.0.0.9' })
  t.equal((await other.get('vm', 'vm-1'))?.value.address, '10.0.0.9')
})

t.test('a change of spec and status is one decision, wherever a crash comes', async (t) => {
  const { store, server, client } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await put(store, 'vm-1', plain)
  server.faults.refuse = (method, path) => (method === 'PUT' && path.endsWith('/status') ? 500 : undefined)
  const left = { ...plain, address: '10.0.0.9', phase: 'left', phaseSince: 1_800_000_900_000 } as const
  await put(store, 'vm-1', left)
  const after = await openKubernetesStore(clientOf(t, server.kubeconfig))
  t.teardown(() => after.close())
  t.same((await after.get('vm', 'vm-1'))?.value, left)
  server.faults.refuse = () => undefined as never
  await put(after, 'vm-1', { ...left, phase: 'joining' })
  const object = await client.get<CustomObject>(virtualMachines, { namespace: 'shop', name: 'vm-1' })
  t.match(object?.status, { phase: 'joining', observedGeneration: 2 })
  // Somebody changes the spec by hand: what travelled with the one before is history.
  t.ok(object?.metadata.annotations?.[statusAnnotation])
  await client.replace(virtualMachines, {
    ...object,
    spec: { ...object?.spec, hostname: 'by-hand' },
  } as CustomObject)
  await until(async () => (await after.get('vm', 'vm-1'))?.value.hostname === 'by-hand')
  t.equal((await after.get('vm', 'vm-1'))?.value.phase, 'joining')
})

t.test('a VM whose pool is in another namespace moves there', async (t) => {
  const { store, client } = await open(t)
  await store.commit([
    { put: 'pool', name: 'web', value: pool },
    { put: 'pool', name: 'db', value: { ...pool, spec: { ...pool.spec, namespace: 'data' } } },
  ])
  await put(store, 'vm-1', plain)
  await put(store, 'vm-1', { ...plain, pool: 'db' })
  t.same(
    (await store.list('vm')).map(({ value }) => value.pool),
    ['db'],
  )
  t.equal(await client.get(virtualMachines, { namespace: 'shop', name: 'vm-1' }), undefined)
  t.ok(await client.get(virtualMachines, { namespace: 'data', name: 'vm-1' }))
  await t.rejects(put(store, 'vm-2', { ...plain, pool: 'none' }), { code: 'POOL_UNKNOWN' })
})

t.test('what others put on an object stays', async (t) => {
  const { store, client } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await put(store, 'vm-1', plain)
  const at = { namespace: 'shop', name: 'vm-1' }
  const object = (await client.get<CustomObject>(virtualMachines, at)) as CustomObject
  const labels = { ...object.metadata.labels, team: 'red' }
  const marked = await client.replace(virtualMachines, {
    ...object,
    metadata: { ...object.metadata, labels },
  })
  await until(async () => (await store.get('vm', 'vm-1'))?.version === marked.metadata.resourceVersion)
  await put(store, 'vm-1', { ...plain, address: '10.0.0.8' })
  t.equal((await client.get<CustomObject>(virtualMachines, at))?.metadata.labels?.team, 'red')
})

t.test('a name is the older pool’s; the newer is told, and counts when the older goes', async (t) => {
  const { store, client } = await open(t)
  const spec = (namespace: string, serviceAccount: string) =>
    ({
      metadata: { namespace, name: 'web' },
      spec: { ...leftOut(pool.spec, 'namespace'), serviceAccount },
    }) as CustomObject
  const condition = async (namespace: string) =>
    (
      (await client.get<CustomObject>(pools, { namespace, name: 'web' }))?.status?.conditions as
        | object[]
        | undefined
    )?.[0]
  await client.create(pools, spec('one', 'first'))
  await client.create(pools, spec('two', 'second'))
  await until(async () => (await condition('two')) !== undefined)
  t.match(await condition('two'), {
    type: 'Accepted',
    status: 'False',
    reason: 'NameTaken',
    observedGeneration: 1,
  })
  t.same(
    (await store.list('pool')).map(({ value }) => value.spec.serviceAccount),
    ['first'],
  )
  await until(async () => (await condition('one')) !== undefined)
  t.match(await condition('one'), { status: 'True' })
  await client.remove(pools, { namespace: 'one', name: 'web' })
  await until(async () => (await store.get('pool', 'web'))?.value.spec.serviceAccount === 'second')
  await until(async () => ((await condition('two')) as { status?: string })?.status === 'True')
})

t.test('a pool that kubectl spoils stays in force as it was, also after a restart', async (t) => {
  const rules = (_: string, { labels }: { labels?: Record<string, string> }) => {
    if (labels?.bad !== undefined) throw new MooringError('REQUEST_INVALID', { detail: 'label bad' })
  }
  const { store, client, server } = await open(t, { rules })
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  const at = { namespace: 'shop', name: 'web' }
  const status = async () =>
    (await client.get<CustomObject>(pools, at))?.status as { conditions?: object[] } | undefined
  await until(async () => (await status())?.conditions !== undefined)
  const object = (await client.get<CustomObject>(pools, at)) as CustomObject
  await client.replace(pools, { ...object, spec: { ...object.spec, labels: { bad: 'x' } } } as CustomObject)
  await until(async () => JSON.stringify(await status()).includes('Invalid'))
  t.match((await status())?.conditions, [
    { reason: 'Invalid', message: /label bad; what was accepted before/ },
  ])
  await until(async () => store.poolConditions('web')[0]?.status === 'False')
  t.match(store.poolConditions('web'), [{ type: 'Accepted', reason: 'Invalid', since: Number }])
  t.same(store.poolConditions('none'), [])
  t.same((await store.get('pool', 'web'))?.value.spec, pool.spec)
  const restarted = await openKubernetesStore(clientOf(t, server.kubeconfig), { rules })
  t.teardown(() => restarted.close())
  t.same((await restarted.get('pool', 'web'))?.value.spec, pool.spec)
})

t.test('a pool does not change its namespace', async (t) => {
  const { store } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  const version = (await store.get('pool', 'web'))?.version ?? ''
  const value = { ...pool, spec: { ...pool.spec, namespace: 'other' } }
  await t.rejects(store.commit([{ put: 'pool', name: 'web', value, version }]), { code: 'REQUEST_INVALID' })
})

t.test('while the API server is away reads go on, writes say so, and all converges after', async (t) => {
  const { store, server, client } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await put(store, 'vm-1', plain)
  await until(() => server.watches === 3)
  server.faults.refuse = () => 503
  server.cutWatches()
  await until(() => store.health().some(({ ok }) => !ok))
  t.same((await store.get('vm', 'vm-1'))?.value, plain)
  await t.rejects(put(store, 'vm-1', { ...plain, address: '10.0.0.8' }), { code: 'STORE_UNAVAILABLE' })
  server.faults.refuse = () => undefined as never
  await vanish(client, 'shop', 'vm-1')
  await until(async () => (await store.get('vm', 'vm-1')) === undefined)
  await until(() => store.health().every(({ ok }) => ok))
})

t.test('what was forgotten by the API server is listed anew', async (t) => {
  const { store, server, client } = await open(t)
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await put(store, 'vm-1', plain)
  await put(store, 'vm-2', plain)
  await until(() => server.watches === 3)
  server.faults.mute = true
  await vanish(client, 'shop', 'vm-1')
  const listing = await client.list(virtualMachines)
  server.faults.mute = false
  server.faults.forgottenUpTo = Number(listing.resourceVersion) - 1
  server.cutWatches()
  await until(async () => (await store.get('vm', 'vm-1')) === undefined)
  t.same(
    (await store.list('vm')).map(({ name }) => name),
    ['vm-2'],
  )
})

t.test(
  'where pools may be is said, nothing else is read, and a list of one place says nothing of another',
  async (t) => {
    const { store, server, client } = await open(t, { namespaces: ['shop', 'data'] })
    const data = { ...pool, spec: { ...pool.spec, namespace: 'data' } }
    await store.commit([
      { put: 'pool', name: 'web', value: pool },
      { put: 'pool', name: 'db', value: data },
    ])
    await put(store, 'vm-1', plain)
    await put(store, 'vm-2', { ...plain, pool: 'db' })
    await client.create(pools, {
      metadata: { namespace: 'elsewhere', name: 'other' },
      spec: leftOut(pool.spec, 'namespace'),
    } as CustomObject)
    await until(() => server.watches === 5)
    server.faults.forgottenUpTo = Number((await client.list(virtualMachines)).resourceVersion)
    await vanish(client, 'data', 'vm-2')
    server.cutWatches()
    await until(async () => (await store.get('vm', 'vm-2')) === undefined)
    t.ok(await store.get('vm', 'vm-1'))
    t.same((await store.list('pool')).map(({ name }) => name).sort(), ['db', 'web'])
    const read = server.requests.filter((request) => /^GET .*\/pools$/.test(request))
    const places = read.map((request) => /namespaces\/(\w+)/.exec(request)?.[1] ?? 'all')
    t.same([...new Set(places)].sort(), ['data', 'shop'])
  },
)
