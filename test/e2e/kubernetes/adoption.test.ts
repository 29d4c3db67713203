import t from 'tap'
import { begin, isQuiet, observe } from '../../../agent/shutdown/quiet.ts'
import { inboundCount, inboundFilter, parseStatistics } from '../../../agent/sidecar/statistics.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { serverPool } from '../../world/world.ts'
import { bundleFor } from '../agent/sidecar-vm.ts'
import { installSidecar, type RunningSidecar, startSidecar } from '../mesh/sidecar.ts'
import { createKubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

const host = 'echo.shop.svc.cluster.local'
const ports = serverPool.service?.ports ?? []
const targets = Object.fromEntries(ports.map(({ name, number }) => [name, number]))
const servers: Partial<PoolSpec> = { namespace: 'shop', service: { host, ports, existing: true } }
const networking = 'networking.istio.io/v1'

t.test('VMs that are in the mesh already become Mooring’s without a lost request', async (t) => {
  const world = await createKubernetesWorld({ name: 'k8sadopt', servers })
  t.teardown(() => world.close())
  const { cluster, istiod, network } = world
  const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
  const entries = async () => {
    const said = await kubectl('get', 'workloadentry', '-n', 'shop', '-o', 'json')
    return (JSON.parse(said) as { items: { metadata: { name: string; uid: string } }[] }).items
  }
  const namesOf = async () => (await entries()).map(({ metadata }) => metadata.name)
  const version = await installSidecar(network, world.parts)

  /** A VM with application and sidecar as Istio's own guide has them; no agent runs. */
  const byHand = async (name: string, environment: Readonly<Record<string, string>> = {}) => {
    const member = await world.prepare(name, 'servers')
    await member.startApp()
    const bundle = await bundleFor(member.vm, {
      istiod: {
        rootCertificates: await istiod.rootCertificates(),
        address: istiod.address,
        port: 15012,
        token: () => cluster.tokenFor('shop', 'echo', { audience: 'istio-ca' }),
        apply: (objects) => cluster.apply(objects),
      },
      baked: world.sidecar,
      app: 'echo',
      change(made) {
        made.workload.namespace = 'shop'
        made.workload.ports = [...ports]
      },
    })
    return { member, sidecar: await startSidecar(member.vm, bundle, version, environment) }
  }

  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'echo', namespace: 'shop' },
      spec: {
        selector: { app: 'echo' },
        ports: ports.map(({ name, number: port }) => ({ name, port, targetPort: port })),
      },
    },
  ])
  await world.boot('a', 'servers')
  const caller = await world.boot('caller', 'clients')
  const hand = await byHand('hand')
  const theirs = (annotations: object) => ({
    apiVersion: networking,
    kind: 'WorkloadEntry',
    metadata: { name: 'theirs', namespace: 'shop', annotations },
    spec: {
      address: hand.member.vm.address,
      labels: { app: 'echo' },
      serviceAccount: 'echo',
      ports: targets,
    },
  })
  await cluster.apply([theirs({})])
  const group = {
    apiVersion: networking,
    kind: 'WorkloadGroup',
    metadata: { name: 'old', namespace: 'shop' },
    spec: {
      metadata: { labels: { app: 'echo' }, annotations: { 'mesh.mooring/adopt': 'servers' } },
      template: { serviceAccount: 'echo', ports: targets },
    },
  }
  await cluster.apply([group])
  // Before the load: Istio opens such a VM before its traffic is captured.
  const auto = await byHand('auto', { ISTIO_META_AUTO_REGISTER_GROUP: 'old' })
  const registered = await waitFor(async () => (await namesOf()).find((name) => name.startsWith('old-')), {
    what: 'its registration',
  })
  const load = world.load(caller, { host, options: { 'download-seconds': 3 } })
  await load.firstOk
  const answersOf = (name: string) => load.progress().instances[name]?.answers ?? 0
  const serves = async (name: string) => {
    const before = answersOf(name)
    await waitFor(() => answersOf(name) > before + 50, { what: `answers of ${name}` })
  }
  await serves('hand')

  await t.test('without consent its entry stays, and the VM waits outside', async (t) => {
    const before = await entries()
    await hand.member.startAgent()
    const said = await waitFor(
      async () => {
        const vms = await world.operator.vms('servers')
        const found = vms.find(({ address }) => address === hand.member.vm.address)
        return found?.conditions.find(({ reason }) => reason === 'MESH_ADDRESS_FOREIGN')
      },
      { what: 'the condition' },
    )
    t.match(said, { type: 'EntryWritten', status: 'False', message: /WorkloadEntry shop\/theirs/ })
    t.same(await entries(), before, 'nothing was written, and nothing taken away')
    await serves('hand')
  })

  await t.test('with the annotation the VM takes its place, under load', async (t) => {
    await kubectl('annotate', 'workloadentry', 'theirs', '-n', 'shop', 'mesh.mooring/adopt=servers')
    await waitFor(async () => !(await namesOf()).includes('theirs'), { what: 'the end of their entry' })
    const waiting = await waitFor(
      async () =>
        (await hand.member.view()).conditions.find(({ reason }) => reason === 'PORT_IN_USE')?.message,
      { what: 'word of who is in the way' },
    )
    t.match(waiting, /15006 by envoy/)
    t.ok((await namesOf()).includes((await hand.member.view()).id))
    await quiet(hand.sidecar)
    await hand.sidecar.end()
    await hand.member.waitPhase('ready')
    await serves('hand')
  })

  await t.test('one of auto-registration is adopted as its WorkloadGroup says', async (t) => {
    const { member, sidecar } = auto
    await serves('auto')
    await member.startAgent()
    await waitFor(async () => !(await namesOf()).includes(registered), { what: 'the end of its entry' })
    await quiet(sidecar)
    await sidecar.end()
    await member.waitPhase('ready')
    await serves('auto')
    const vms = await world.operator.vms('servers')
    t.same((await namesOf()).toSorted(), vms.map(({ id }) => id).toSorted(), 'nothing is there but ours')
  })

  await serves('a')
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.comment(sceneLine('kubernetes-adoption', summary))
})

/** Waits as a person would before the old sidecar is stopped: no request comes any more, and none is open. */
async function quiet(sidecar: RunningSidecar): Promise<void> {
  const sample = async () => {
    const text = await sidecar.admin(`/stats?filter=${encodeURIComponent(inboundFilter)}`)
    return { ...inboundCount(parseStatistics(text)), at: performance.now() }
  }
  let seen = begin(await sample())
  await waitFor(
    async () => {
      seen = observe(seen, await sample())
      return isQuiet(seen, 1_500)
    },
    { what: 'the old sidecar to be quiet' },
  )
}
