import t from 'tap'
import { startControllers } from '../../testbed/kubernetes/controllers.ts'
import { ensureNodeParts } from '../../testbed/kubernetes/parts.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { serverPool } from '../../world/world.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

t.test('what people and machines do to a cluster, under running VMs', async (t) => {
  const world = await createKubernetesWorld({ name: 'k8sfaults', servers: null })
  t.teardown(() => world.close())
  const { cluster, network, operator } = world
  const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
  const { namespace: _, ...spec } = serverPool
  const pool = (name: string) => ({
    apiVersion: 'mesh.mooring/v1alpha1',
    kind: 'Pool',
    metadata: { name, namespace: 'shop' },
    spec,
  })
  await cluster.apply([pool('servers')])
  await kubectl('wait', '--for=condition=Fit', 'mpool/servers', '-n', 'shop', '--timeout=90s')
  const [a, caller] = [await world.boot('a', 'servers'), await world.boot('caller', 'clients')]
  const b = await world.boot('b', 'servers')
  const load = world.load(caller, { options: { 'download-seconds': 3 } })
  await load.firstOk
  const bootServer = async (name: string, of: string) => {
    const member = await world.prepare(name, of)
    await member.startApp()
    await member.startAgent()
    await member.waitPhase('ready')
    return member
  }
  const more = async (requests: number) => {
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + requests, { what: 'load' })
  }

  await t.test('kubectl delete vm removes it as an operator would: no request fails', async (t) => {
    const { id } = await b.view()
    await more(200)
    t.match(await kubectl('delete', 'vm', id, '-n', 'shop', '--timeout=90s'), /deleted/)
    await more(200)
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.ok((summary.instances.b?.answers ?? 0) > 0, 'it had served')
    t.comment(sceneLine('kubernetes-delete', summary))
    t.equal(await kubectl('get', 'workloadentry', id, '-n', 'shop', '--ignore-not-found'), '')
    t.match(await b.view(), { phase: 'left', revoked: true })
    const policies = await kubectl('get', 'authorizationpolicy', '-A', '-o', 'yaml')
    t.match(policies, b.vm.address, 'its address is denied while its certificates are good')
    const secret = await kubectl(
      'get',
      'secret',
      `mooring-removed-vm-${id}`,
      '-n',
      'mooring-system',
      '-o',
      'name',
    )
    t.match(secret, id)
  })

  await t.test('a pool that is deleted is held by its VM, and says so', async (t) => {
    await kubectl('delete', 'mpool', 'servers', '-n', 'shop', '--wait=false')
    await kubectl('wait', '--for=condition=Deleting', 'mpool/servers', '-n', 'shop', '--timeout=90s')
    t.match(await operator.pool('servers'), {
      conditions: [{ type: String }, { type: String }, { type: 'Deleting' }],
    })
    t.equal((await a.view()).phase, 'ready', 'it serves on')
    await t.rejects(operator.createToken('servers'), { code: 'REQUEST_INVALID' }, 'nobody is let in')
    const { id } = await a.view()
    await kubectl('delete', 'vm', id, '-n', 'shop', '--timeout=90s')
    await kubectl('wait', '--for=delete', 'mpool/servers', '-n', 'shop', '--timeout=90s')
    t.equal((await a.view()).phase, 'left')
  })

  await t.test('a namespace that is deleted under a running VM goes, and nothing of it stays', async (t) => {
    const controllers = await startControllers({
      network,
      cluster,
      parts: await ensureNodeParts({ progress }),
    })
    t.teardown(() => controllers.stop())
    await cluster.apply([pool('last')])
    await kubectl('wait', '--for=condition=Accepted', 'mpool/last', '-n', 'shop', '--timeout=90s')
    const c = await bootServer('c', 'last')
    const { id } = await c.view()
    await kubectl('delete', 'namespace', 'shop', '--timeout=110s')
    t.match(await c.view(), { phase: 'left', revoked: true })
    t.equal(await kubectl('get', 'namespace', 'shop', '--ignore-not-found'), '')
    t.equal((await caller.view()).phase, 'ready', 'others are as they were')
    await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }, pool('last')])
    await kubectl('wait', '--for=condition=Accepted', 'mpool/last', '-n', 'shop', '--timeout=90s')
    const d = await bootServer('d', 'last')
    t.not((await d.view()).id, id)
    t.equal((await d.view()).phase, 'ready', 'and what is made anew is used')
  })
})
