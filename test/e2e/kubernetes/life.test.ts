import t from 'tap'
import { call } from '../../world/call.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { echo, serverPool } from '../../world/world.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

t.test('a VM lives in the mesh of a cluster, as objects of it', async (t) => {
  const world = await createKubernetesWorld({ name: 'k8slife', servers: null })
  t.teardown(() => world.close())
  const { cluster, controller, operator } = world
  const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
  const entryOf = async (vm: string) =>
    JSON.parse(
      (await kubectl('get', 'workloadentry', vm, '-n', 'shop', '-o', 'json', '--ignore-not-found')) || '{}',
    )

  await t.test('a pool may be made by kubectl or by the controller’s interface', async (t) => {
    const { namespace: _, ...spec } = serverPool
    const metadata = { name: 'servers', namespace: 'shop' }
    await cluster.apply([{ apiVersion: 'mesh.mooring/v1alpha1', kind: 'Pool', metadata, spec }])
    for (const condition of ['Accepted', 'Fit']) {
      await kubectl('wait', `--for=condition=${condition}`, 'mpool/servers', '-n', 'shop', '--timeout=90s')
    }
    t.match(await operator.pool('servers'), { spec: { ...serverPool, namespace: 'shop' } })
    t.match(await kubectl('get', 'mpool', '-n', 'default'), /clients/)
  })

  const [a, caller] = [await world.boot('a', 'servers'), await world.boot('caller', 'clients')]
  const b = await world.boot('b', 'servers')
  const { id } = await b.view()

  await t.test('it is Ready for kubectl, and a peer gets its 200 over mTLS', async (t) => {
    const { id: first } = await a.view()
    const wait = ['wait', '--for=condition=Ready', `vm/${first}`, `vm/${id}`, '-n', 'shop', '--timeout=90s']
    t.match(await kubectl(...wait), 'condition met')
    t.match((await entryOf(id)).status?.conditions, [{ type: 'Healthy', status: 'True' }])
    const answer = await waitFor(
      async () => {
        const { status, body } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        return status === 200 && (JSON.parse(body) as { clientCert: string | null })
      },
      { what: 'a first answer' },
    )
    t.match(answer.clientCert, 'URI=spiffe://cluster.local/ns/default/sa/caller')
    t.equal(
      (await call(world.network.host, `http://${a.vm.address}:${echo.http}/`)).status,
      0,
      'not in plain text',
    )
  })

  await t.test('an entry that somebody deletes is put back', async (t) => {
    const { metadata } = await entryOf(id)
    await kubectl('delete', 'workloadentry', id, '-n', 'shop')
    const back = await waitFor(
      async () => {
        const entry = await entryOf(id)
        return entry.status?.conditions?.[0]?.status === 'True' && entry
      },
      { what: 'the entry to be open again' },
    )
    t.not(back.metadata.uid, metadata.uid)
  })

  await t.test(
    'what a WorkloadGroup of the user’s own says reaches the entries of running VMs',
    async (t) => {
      const group = (tier: string) => ({
        apiVersion: 'networking.istio.io/v1',
        kind: 'WorkloadGroup',
        metadata: { name: 'theirs', namespace: 'shop' },
        spec: { metadata: { labels: { app: 'other', tier } }, template: {} },
      })
      const labelled = (tier: string | undefined) =>
        waitFor(async () => (await entryOf(id)).spec?.labels?.tier === tier, { what: `tier ${tier}` })
      const servers = async () => {
        const all = JSON.parse(await kubectl('get', 'vm', '-n', 'shop', '-o', 'json')).items as {
          status: { phase: string; bundleRevision: string; restartPending?: boolean }
        }[]
        return all.map(({ status }) => status)
      }
      const before = (await servers()).map(({ bundleRevision }) => bundleRevision)
      const refer = (name: string | null) =>
        kubectl(
          ...['patch', 'mpool', 'servers', '-n', 'shop', '--type=merge', '-p'],
          JSON.stringify({ spec: { workloadGroup: name } }),
        )
      await cluster.apply([group('front')])
      await refer('theirs')
      await labelled('front')
      t.equal((await entryOf(id)).spec.labels.app, 'echo', 'what the pool says stands')
      t.equal(
        await kubectl('get', 'workloadgroup', '-n', 'shop', '-o', 'name'),
        'workloadgroup.networking.istio.io/theirs',
      )
      await cluster.apply([group('back')])
      await labelled('back')
      t.same((await operator.pool('servers')).spec.labels, serverPool.labels, 'operators see what they wrote')
      await refer(null)
      await labelled(undefined)
      // Their sidecars are started anew for other labels, one after the other, each closed before.
      const settled = await waitFor(
        async () => {
          const now = await servers()
          const isSettled = now.every(
            ({ phase, bundleRevision, restartPending }, i) =>
              phase === 'ready' && restartPending !== true && bundleRevision === before[i],
          )
          return isSettled && now
        },
        { what: 'every VM to be what it was', limitMs: 180_000 },
      )
      t.equal(settled.length, 2)
    },
  )

  await t.test('a Sidecar of the user’s own for the same VMs is a condition of their pool', async (t) => {
    const sidecar = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Sidecar',
      metadata: { name: 'theirs', namespace: 'shop' },
      spec: { workloadSelector: { labels: { app: 'echo' } }, egress: [{ hosts: ['*/*'] }] },
    }
    const fit = (status: string) =>
      kubectl('wait', `--for=condition=Fit=${status}`, 'mpool/servers', '-n', 'shop', '--timeout=90s')
    await cluster.apply([sidecar])
    await fit('False')
    t.match(await kubectl('get', 'mpool', 'servers', '-n', 'shop', '-o', 'yaml'), /MESH_SIDECAR_CLASH/)
    await kubectl('delete', 'sidecars.networking.istio.io', 'theirs', '-n', 'shop')
    t.match(await fit('True'), 'condition met')
  })

  const load = world.load(caller, { options: { 'download-seconds': 3 } })
  await load.firstOk

  await t.test('a controller that is killed loses nothing', async (t) => {
    const before = [await entryOf(id), await b.view()]
    await controller.kill()
    await controller.start()
    const after = await b.waitPhase('ready')
    await waitFor(async () => (await b.view()).connected, { what: 'its stream' })
    t.equal(after.phaseSince, before[1].phaseSince, 'it was never anything else')
    t.equal((await entryOf(id)).metadata.uid, before[0].metadata.uid)
    t.equal((await operator.vms()).length, 3)
    t.same((await operator.pool('servers')).spec, { ...serverPool, namespace: 'shop' })
    t.equal((await a.view()).phase, 'ready')
  })

  await t.test('without its API server it goes on serving, and says so', async (t) => {
    type Readiness = { ready: boolean; parts: readonly { part: string; ok: boolean }[] }
    const parts = () => operator.call<Readiness>('GET', '/readyz')
    await cluster.apiServer.kill()
    await waitFor(async () => (await parts()).parts.some(({ ok }) => !ok), { what: 'word of what is away' })
    t.ok((await parts()).ready, 'agents are to find it all the more')
    await t.rejects(operator.createToken('servers'), { status: 503, code: 'STORE_UNAVAILABLE' })
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + 200, { what: 'load meanwhile' })
    t.equal((await b.view()).phase, 'ready')
    await cluster.apiServer.start()
    await waitFor(async () => (await parts()).parts.every(({ ok }) => ok), { what: 'all to be well' })
    t.ok(await operator.createToken('servers'))
    t.equal((await b.view()).phase, 'ready')
  })

  await t.test('it leaves under load of every protocol, and its entry is gone', async (t) => {
    await waitFor(() => load.progress().requests > 200, { what: 'load on both servers' })
    t.equal(await b.shutDown(), 0, 'the agent ends well')
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + 200, { what: 'load after the leave' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.ok((summary.instances.b?.answers ?? 0) > 0, 'it had served')
    t.comment(sceneLine('kubernetes-leave', summary))
    t.equal((await b.view()).phase, 'left')
    t.same(await entryOf(id), {})
    t.match(await kubectl('get', 'vm', id, '-n', 'shop'), / left /)
  })
})
