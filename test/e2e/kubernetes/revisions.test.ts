import t, { type Test } from 'tap'
import type { ClusterIstiod } from '../../testbed/kubernetes/istiod.ts'
import { failuresOf } from '../../world/load.ts'
import type { Member } from '../../world/member.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

t.test('pools follow the revisions of istiod that they name', async (t) => {
  const world = await createKubernetesWorld({
    name: 'k8srev',
    servers: { namespace: 'shop' },
    revisions: ['canary'],
  })
  t.teardown(() => world.close())
  const { cluster, istiod, operator } = world
  const [a, b, caller] = [
    await world.boot('a', 'servers'),
    await world.boot('b', 'servers'),
    await world.boot('caller', 'clients'),
  ]
  const [first, second] = [(await a.view()).id, (await b.view()).id]
  const move = (revision: string | null) =>
    cluster.kubectl([
      ...['patch', 'mpool', 'servers', '-n', 'shop', '--type=merge', '-p'],
      JSON.stringify({ spec: { revision } }),
    ])
  const fit = async (status: string) => {
    await cluster.kubectl([
      ...['wait', `--for=condition=Fit=${status}`, 'mpool/servers', '-n', 'shop', '--timeout=90s'],
    ])
    return (await cluster.kubectl(['get', 'mpool', 'servers', '-n', 'shop', '-o', 'yaml'])).stdout
  }
  const load = world.load(caller, { options: { 'download-seconds': 3 } })
  await load.firstOk

  await t.test(
    'VMs stay with what they have until the revision is there, then go over one by one, and back',
    async (t) => {
      await move('canary')
      t.match(await fit('False'), /MESH_FACTS_MISSING/)
      t.match(await fit('False'), /ConfigMap istio-system\/istio-canary/)
      const late = await world.prepare('late', 'servers')
      await late.startApp()
      await late.startAgent()
      await waitFor(async () => (await operator.vms()).some(({ phase }) => phase === 'joining'), {
        what: 'one that asks to join',
      })
      const before = load.progress().requests
      await waitFor(() => load.progress().requests > before + 200, { what: 'load meanwhile' })
      for (const member of [a, b]) t.equal((await member.view()).phase, 'ready')
      t.same(await servedBy(istiod, [first, second]), [first, second])
      const canary = await world.startRevision('canary')
      await fit('True')
      await moved(t, canary, istiod, [a, b])
      await late.waitPhase('ready')
      const { id } = await late.view()
      await waitFor(async () => (await servedBy(canary, [id])).length === 1, {
        what: 'the late one at canary',
      })
      t.same(await servedBy(istiod, [id]), [], 'its sidecar never knew the other one')
      await late.shutDown()

      await move(null)
      await moved(t, istiod, canary, [a, b])
    },
  )

  const before = load.progress().requests
  await waitFor(() => load.progress().requests > before + 200, { what: 'load after it' })
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  for (const name of ['a', 'b']) t.ok((summary.instances[name]?.answers ?? 0) > 0, `${name} served`)
  t.comment(sceneLine('kubernetes-revisions', summary))
})

/** Which of these VMs have their sidecar's stream at that istiod. */
async function servedBy(istiod: ClusterIstiod, vms: readonly string[]): Promise<readonly string[]> {
  const proxies = JSON.parse(await istiod.debug('syncz')) as readonly { readonly proxy: string }[] | null
  return vms.filter((vm) => proxies?.some(({ proxy }) => proxy.startsWith(`${vm}.`)))
}

async function moved(
  t: Test,
  to: ClusterIstiod,
  from: ClusterIstiod,
  members: readonly Member[],
): Promise<void> {
  const vms = await Promise.all(members.map(async (member) => (await member.view()).id))
  await waitFor(async () => (await servedBy(to, vms)).length === vms.length, {
    what: `${vms.join(' and ')} at ${to.revision}`,
  })
  for (const member of members) await member.waitPhase('ready')
  t.same(await servedBy(from, vms), [], 'none is left at the other')
}
