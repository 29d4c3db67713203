import t from 'tap'
import { poolObjects, refOf } from '../../../controller/mesh/objects.ts'
import { type ClusterIstiod, startIstiod } from '../../testbed/kubernetes/istiod.ts'
import { ensureIstiodParts } from '../../testbed/kubernetes/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { poolOf } from '../../unit/controller/mesh/sample.ts'
import { waitFor } from '../../world/waiting.ts'
import { createMeshCluster, entry, openMesh, stored, webPool } from './mesh-scene.ts'

t.setTimeout(15 * 60_000)
const { signal } = new AbortController()
const istiodParts = await ensureIstiodParts({ progress: silentProgress })
const started = Promise.withResolvers<ClusterIstiod>()
const scene = await createMeshCluster('k8sistiod', async (network, cluster) => {
  const made = await startIstiod({ network, cluster, parts: istiodParts })
  started.resolve(made)
  return { address: { address: made.address, port: 15012 } }
})
t.teardown(scene.close)
const { network, cluster, mesh, pools } = scene
const istiod = await started.promise

/** Endpoints that istiod tells peers of, as `address:port`, by the host of their service. */
async function endpoints(host: string): Promise<readonly string[]> {
  type Shards = Record<
    string,
    Record<
      string,
      { Shards: Record<string, readonly { Addresses: string[]; EndpointPort: number }[] | null> | null }
    >
  >
  const shards = JSON.parse(await istiod.debug('endpointShardz')) as Shards
  return Object.values(shards[host] ?? {})
    .flatMap(({ Shards }) => Object.values(Shards ?? {}))
    .flatMap((found) => found ?? [])
    .map(({ Addresses, EndpointPort }) => `${Addresses[0]}:${EndpointPort}`)
    .toSorted()
}
const serves = (host: string, ...wanted: readonly string[]) =>
  waitFor(async () => (await endpoints(host)).join() === wanted.join(), {
    what: `${host} at ${wanted.join(' and ') || 'nobody'}`,
    onTimeout: async () => (await endpoints(host)).join(),
  })

t.test('what VMs are told is what this istiod goes by', async (t) => {
  const facts = mesh.facts()
  t.match(facts, { trustDomain: 'cluster.local', clusterId: 'Kubernetes', network: '' })
  t.equal(facts.istiod.host, istiod.host)
  t.equal(facts.rootCertificates.trim(), (await istiod.rootCertificates()).trim())
})

t.test('istiod serves an endpoint while it is open, and only then', async (t) => {
  for (const object of poolObjects('web', poolOf(webPool), { address: '' }, 'kubernetes')) {
    await mesh.apply(object, signal)
  }
  const host = 'web.shop.internal'
  await mesh.apply(entry('vm-a', '10.77.0.11', 'open'), signal)
  await serves(host, '10.77.0.11:8080')
  // Judged never: an entry without a condition is closed; when the next one is there, istiod has seen this one too.
  await mesh.apply(entry('vm-b', '10.77.0.12', 'none'), signal)
  await mesh.apply(entry('vm-c', '10.77.0.13', 'open'), signal)
  await serves(host, '10.77.0.11:8080', '10.77.0.13:8080')
  await mesh.apply(entry('vm-b', '10.77.0.12', 'open'), signal)
  await serves(host, '10.77.0.11:8080', '10.77.0.12:8080', '10.77.0.13:8080')
  await mesh.apply(entry('vm-a', '10.77.0.11', 'closed'), signal)
  await mesh.taken(refOf(entry('vm-a', '10.77.0.11', 'closed')), signal)
  await serves(host, '10.77.0.12:8080', '10.77.0.13:8080')
  await mesh.apply(entry('vm-b', '10.77.0.12', 'none'), signal)
  await serves(host, '10.77.0.13:8080')
  await mesh.remove(refOf(entry('vm-c', '10.77.0.13', 'open')), signal)
  await serves(host)
  const service = await waitFor(
    async () => {
      const { status } = await stored(cluster, 'serviceentry', `shop/${host}`)
      return (status as { addresses?: readonly { value: string }[] } | undefined)?.addresses?.[0]
    },
    { what: 'an address of istiod’s own choice' },
  )
  t.match(service.value, /^240\.240\./)
})

t.test('VMs serve together with what a Service of the user has', async (t) => {
  const host = 'cart.shop.svc.cluster.local'
  const ports = [{ name: 'http', number: 80, target: 9000, protocol: 'HTTP' as const }]
  const spec = { ...webPool, labels: { app: 'cart' }, service: { host, ports, existing: true } }
  pools.set('cart', poolOf(spec))
  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'cart', namespace: 'shop' },
      spec: { selector: { app: 'cart' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
  ])
  for (const object of poolObjects('cart', poolOf(spec), { address: '' }, 'kubernetes')) {
    await mesh.apply(object, signal)
  }
  await mesh.apply(entry('vm-d', '10.77.0.14', 'open', spec), signal)
  await serves(host, '10.77.0.14:9000')
  await mesh.apply(entry('vm-d', '10.77.0.14', 'closed', spec), signal)
  await serves(host)
  // The Service is seen by a watch of its own.
  await waitFor(() => mesh.faults().length === 0, {
    what: 'nothing against the pool',
    onTimeout: async () => JSON.stringify(mesh.faults()),
  })
  t.same(mesh.faults(), [])
})

t.test('a pool of another revision is told that revision’s istiod', async (t) => {
  const canary = await startIstiod({ network, cluster, parts: istiodParts, revision: 'canary' })
  const other = await openMesh({
    cluster,
    kubeconfig: scene.kubeconfig,
    pools,
    settings: { revision: 'canary', address: { address: canary.address, port: 15012 } },
  })
  t.teardown(other.close)
  t.match(other.mesh.facts().istiod, { host: 'istiod-canary.istio-system.svc', address: canary.address })
})
