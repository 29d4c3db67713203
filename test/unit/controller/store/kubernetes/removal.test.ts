import t, { type Test } from 'tap'
import {
  type CustomObject,
  finalizer,
  pools,
  secrets,
  virtualMachines,
} from '../../../../../controller/store/kubernetes/resources.ts'
import type { KubernetesStore } from '../../../../../controller/store/kubernetes/store.ts'
import { startApiServer } from '../../../../fakes/api-server.ts'
import { createTestAuthority } from '../../../../fakes/authority.ts'
import { loopbackPool } from '../../../../fakes/controller.ts'
import { clientOf, fullRecord, leftOut, openKubernetesStore } from '../../../../fakes/kubernetes-store.ts'

const authority = await createTestAuthority('API server')
const pool = { spec: { ...loopbackPool, namespace: 'shop' }, createdAt: 1, updatedAt: 2 }
const plain = leftOut(fullRecord, 'drain', 'revoked', 'artifact', 'update', 'restart', 'refusedArtifact')
const web = { namespace: 'shop', name: 'web' }
const vm = { namespace: 'shop', name: 'vm-1' }

async function open(t: Test) {
  const server = await startApiServer(authority)
  t.teardown(() => server.close())
  const client = clientOf(t, server.kubeconfig)
  const store = await openKubernetesStore(client)
  t.teardown(() => store.close())
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  await store.commit([{ put: 'vm', name: 'vm-1', value: plain }])
  return { server, client, store }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function put(store: KubernetesStore, value: typeof fullRecord): Promise<void> {
  const version = (await store.get('vm', 'vm-1'))?.version
  await store.commit([{ put: 'vm', name: 'vm-1', value, ...(version !== undefined && { version }) }])
}

t.test(
  'deleting a VM’s object is the wish that it be removed, and the object waits until it left',
  async (t) => {
    const { store, client, server } = await open(t)
    await client.remove(virtualMachines, vm)
    await until(async () => (await store.get('vm', 'vm-1'))?.value.revoked !== undefined)
    const wished = (await store.get('vm', 'vm-1'))?.value as typeof fullRecord
    t.match(wished, {
      phase: 'ready',
      revoked: { by: 'kubernetes', now: false, evictUntil: plain.workloadCertificateUntil },
      drain: { reason: 'removed', after: 'leave' },
    })
    t.ok(await client.get(virtualMachines, vm), 'kubectl waits')
    await put(store, { ...wished, phase: 'draining' })
    t.equal((await store.get('vm', 'vm-1'))?.value.phase, 'draining')
    const left = { ...leftOut(wished, 'drain'), phase: 'left' } as typeof fullRecord
    await put(store, left)
    await until(async () => (await client.get(virtualMachines, vm)) === undefined)
    t.same((await store.get('vm', 'vm-1'))?.value, left, 'its key stays revoked, and its address denied')
    t.equal((await store.list('vm')).length, 1)
    const after = await openKubernetesStore(clientOf(t, server.kubeconfig))
    t.teardown(() => after.close())
    t.same((await after.get('vm', 'vm-1'))?.value, left, 'also after a restart')
    await put(after, { ...left, lastSeenAt: left.lastSeenAt + 1 })
    t.equal(await client.get(virtualMachines, vm), undefined, 'it is not made anew')
    const version = (await after.get('vm', 'vm-1'))?.version ?? ''
    await after.commit([{ remove: 'vm', name: 'vm-1', version }])
    t.same(server.names('secrets'), [], 'in the end it is forgotten')
    t.equal(await after.get('vm', 'vm-1'), undefined)
  },
)

t.test('a crash between the two writes of a release loses nothing', async (t) => {
  const { store, client, server } = await open(t)
  await put(store, { ...plain, phase: 'left' })
  server.faults.refuse = (method, path) =>
    method === 'PUT' && path.endsWith('/virtualmachines/vm-1') ? 500 : undefined
  await client.remove(virtualMachines, vm)
  await until(async () => (await client.list(secrets)).items.length === 1)
  t.match((await store.get('vm', 'vm-1'))?.value, { phase: 'left', revoked: { by: 'kubernetes' } })
  t.equal((await store.list('vm')).length, 1)
  server.faults.refuse = undefined
  const after = await openKubernetesStore(clientOf(t, server.kubeconfig))
  t.teardown(() => after.close())
  await until(async () => (await client.get(virtualMachines, vm)) === undefined)
  t.match((await after.get('vm', 'vm-1'))?.value, { phase: 'left', revoked: { by: 'kubernetes' } })
})

t.test('a status that only travelled with the spec is known after the deletion', async (t) => {
  const { store, client } = await open(t)
  t.equal((await client.get<CustomObject>(virtualMachines, vm))?.status, undefined)
  await client.remove(virtualMachines, vm)
  await until(async () => (await store.get('vm', 'vm-1'))?.value.revoked !== undefined)
  t.equal((await store.get('vm', 'vm-1'))?.value.phase, 'ready')
})

t.test('a pool is held while VMs are in it: it stays in force, and lets nobody in', async (t) => {
  const { store, client } = await open(t)
  const token = { pool: 'web', hash: 'ab'.repeat(32), uses: 1, usedBy: [] }
  const value = { ...token, createdAt: 1, expiresAt: 2, createdBy: 'operator:ada' }
  await store.commit([
    { put: 'token', name: 'tok-a', value },
    { put: 'token', name: 'tok-b', value: { ...value, pool: 'other' } },
  ])
  const deleting = async () =>
    (
      (await client.get<CustomObject>(pools, web))?.status?.conditions as { type: string }[] | undefined
    )?.find(({ type }) => type === 'Deleting')
  await client.remove(pools, web)
  await until(async () => (await deleting()) !== undefined)
  t.match(await deleting(), {
    status: 'True',
    reason: 'HasVms',
    message: /until its VMs left: vm-1; kubectl delete vm -l mesh\.mooring\/pool=web/,
  })
  t.same((await store.get('pool', 'web'))?.value.spec, pool.spec)
  await until(async () => (await store.list('token')).length === 1)
  t.same(
    (await store.list('token')).map(({ name }) => name),
    ['tok-b'],
  )
  await t.rejects(store.commit([{ put: 'token', name: 'tok-c', value }]), {
    code: 'REQUEST_INVALID',
    detail: 'pool web is being deleted',
  })
  await put(store, { ...plain, phase: 'left' })
  await until(async () => (await client.get(pools, web)) === undefined)
  t.equal(await store.get('pool', 'web'), undefined)
  t.equal((await store.get('vm', 'vm-1'))?.value.phase, 'left')
})

t.test('a pool that kubectl made is held too; the controller’s own removal waits for nothing', async (t) => {
  const { store, client } = await open(t)
  const at = { namespace: 'shop', name: 'db' }
  const spec = leftOut(pool.spec, 'namespace')
  await client.create(pools, { metadata: { ...at, finalizers: ['example.org/own'] }, spec } as CustomObject)
  await until(async () =>
    Boolean((await client.get<CustomObject>(pools, at))?.metadata.finalizers?.includes(finalizer)),
  )
  t.same((await client.get<CustomObject>(pools, at))?.metadata.finalizers, ['example.org/own', finalizer])
  await store.commit([{ remove: 'pool', name: 'web' }])
  t.equal(await client.get(pools, web), undefined)
})
