import t from 'tap'
import type { MeshEvent } from '../../../controller/mesh/kubernetes/kubernetes.ts'
import { anchorName } from '../../../controller/mesh/kubernetes/tokens.ts'
import type { IstioObject } from '../../../controller/mesh/mesh.ts'
import { evictionPolicy, poolObjects, refOf, sameObject } from '../../../controller/mesh/objects.ts'
import { startCluster } from '../../testbed/kubernetes/cluster.ts'
import { poolOf, vmOf } from '../../unit/controller/mesh/sample.ts'
import { waitFor } from '../../world/waiting.ts'
import {
  createMeshCluster,
  entry,
  istioInstallation,
  namespaceObject,
  openMesh,
  stored,
  webPool,
} from './mesh-scene.ts'

t.setTimeout(15 * 60_000)
const { signal } = new AbortController()
const scene = await createMeshCluster('k8smesh', async (_network, cluster) => {
  await cluster.apply(istioInstallation)
  return {}
})
t.teardown(scene.close)
const { network, parts, cluster, kubeconfig, pools, mesh, events } = scene

const gatewayStatus = (ingress: object) =>
  cluster.kubectl([
    ...['patch', 'service', 'istio-eastwestgateway', '-n', 'istio-system', '--subresource=status'],
    ...['--type=merge', '-p', JSON.stringify({ status: { loadBalancer: { ingress: [ingress] } } })],
  ])
const until = <T>(what: string, probe: Parameters<typeof waitFor<T>>[0]) => waitFor(probe, { what })
/** The events about one object since the list was last emptied. */
const about = (name: string) =>
  events.filter(
    (event): event is MeshEvent & { about: 'object' } => event.about === 'object' && event.ref.name === name,
  )

t.test('what VMs are told comes from the cluster, and follows it', async (t) => {
  t.match(mesh.facts(), {
    trustDomain: 'mesh.example',
    meshId: 'mesh-1',
    clusterId: 'Kubernetes',
    network: 'net-a',
    istiod: { host: 'istiod.istio-system.svc', address: '', port: 15012 },
    rootCertificates: /first/,
    proxyConfig: { concurrency: 2 },
  })
  const request = { namespace: 'shop', serviceAccount: 'web', vm: 'vm-0', ttlSeconds: 3600 }
  await t.rejects(mesh.mint(request, signal), { code: 'MESH_FACTS_MISSING' }, 'a bundle would lead nowhere')
  await gatewayStatus({ hostname: 'gateway.example' })
  await until('the name of the gateway', () => mesh.facts().istiod.address === 'gateway.example')
  await gatewayStatus({ ip: '192.0.2.7' })
  await until('the address of the gateway', () => mesh.facts().istiod.address === '192.0.2.7')
  t.ok(events.some((event) => event.about === 'surroundings'))
  await cluster.kubectl([
    ...['patch', 'configmap', 'istio-ca-root-cert', '-n', 'istio-system', '--type=merge', '-p'],
    JSON.stringify({ data: { 'root-cert.pem': '-----BEGIN CERTIFICATE-----\nsecond\n' } }),
  ])
  await until('the new root', () => mesh.facts().rootCertificates.includes('second'))
  await gatewayStatus({})
  await until('word of the missing address', () => mesh.health()[1]?.ok === false)
  t.match(mesh.health(), [{ ok: true }, { detail: /eastwestgateway/ }])
  t.equal(mesh.facts().istiod.address, '192.0.2.7', 'an address that is gone is kept')
  await gatewayStatus({ ip: '192.0.2.7' })
  await until('all to be well', () => mesh.health().every(({ ok }) => ok))
})

t.test('an entry is applied: first without health, then as it is judged', async (t) => {
  const at = 'shop/vm-1'
  await mesh.apply(entry('vm-1', '10.0.0.1', 'none'), signal)
  const made = await stored(cluster, 'workloadentry', at)
  t.equal(made.status, undefined)
  t.same(
    made.metadata.managedFields.map(({ manager, operation }) => `${manager} ${operation}`),
    ['mooring Apply'],
  )
  await mesh.apply(entry('vm-1', '10.0.0.1', 'open'), signal)
  const open = await stored(cluster, 'workloadentry', at)
  const [condition] = open.status?.conditions ?? []
  t.match(condition, { type: 'Healthy', status: 'True', observedGeneration: 1 })
  await mesh.taken(refOf(entry('vm-1', '10.0.0.1', 'open')), signal)

  await mesh.apply(entry('vm-1', '10.0.0.1', 'open'), signal)
  t.equal(
    (await stored(cluster, 'workloadentry', at)).metadata.resourceVersion,
    open.metadata.resourceVersion,
    'the same again is no write',
  )
  const moved = entry('vm-1', '10.0.0.2', 'open')
  await mesh.apply(moved, signal)
  const after = await stored(cluster, 'workloadentry', at)
  t.match(after.status?.conditions, [
    { status: 'True', observedGeneration: 2, lastTransitionTime: condition?.lastTransitionTime },
  ])
  await mesh.apply(entry('vm-1', '10.0.0.2', 'closed'), signal)
  t.match((await stored(cluster, 'workloadentry', at)).status?.conditions, [{ status: 'False' }])
  t.same(about('vm-1'), [], 'own writes are nobody else’s')
})

t.test('what is listed is what was applied', async (t) => {
  const objects = [
    ...poolObjects('web', poolOf(webPool), { address: '' }, 'kubernetes'),
    entry('vm-1', '10.0.0.2', 'closed'),
    evictionPolicy('vm-gone', vmOf({ address: '10.0.0.99' })),
  ]
  t.same(
    objects.map(({ kind }) => kind),
    [
      ...['ServiceAccount', 'WorkloadGroup', 'ServiceEntry', 'Sidecar', 'PeerAuthentication'],
      ...['WorkloadEntry', 'AuthorizationPolicy'],
    ],
  )
  for (const object of objects) await mesh.apply(object, signal)
  const listed = await mesh.list(signal)
  t.equal(listed.length, objects.length)
  for (const object of objects)
    t.ok(
      listed.some((one) => sameObject(one, object)),
      object.kind,
    )
  const other = await openMesh({ cluster, kubeconfig, pools, owner: 'elsewhere/mooring' })
  t.teardown(() => other.close())
  t.same(await other.mesh.list(signal), [], 'another installation has nothing there')
  await t.rejects(
    other.mesh.apply(entry('vm-1', '10.0.0.9', 'open'), signal),
    { code: 'MESH_OBJECT_FOREIGN', detail: /vm-1 belongs to the installation mooring-system-mooring/ },
    'nor does it touch what is ours',
  )
  await other.mesh.remove(refOf(entry('vm-1', '10.0.0.9', 'open')), signal)
  t.ok(await stored(cluster, 'workloadentry', 'shop/vm-1'))
})

t.test('an object of that name that is not ours is not touched', async (t) => {
  const theirs = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { name: 'vm-theirs', namespace: 'shop' },
  }
  const mine = entry('vm-theirs', '10.0.0.3', 'open')
  for (const spec of [{ address: '10.0.0.200' }, mine.spec]) {
    await cluster.apply([{ ...theirs, spec }])
    const before = await stored(cluster, 'workloadentry', 'shop/vm-theirs')
    await t.rejects(mesh.apply(mine, signal), { code: 'MESH_OBJECT_FOREIGN', detail: /belongs to kubectl/ })
    await mesh.remove(refOf(mine), signal)
    t.same(await stored(cluster, 'workloadentry', 'shop/vm-theirs'), before)
  }
  await cluster.kubectl(['delete', 'workloadentry', 'vm-theirs', '-n', 'shop'])
  await mesh.apply(mine, signal)
  t.match((await stored(cluster, 'workloadentry', 'shop/vm-theirs')).status?.conditions, [{ status: 'True' }])
})

t.test('what somebody else does to an object of ours is told, and put back', async (t) => {
  const object = entry('vm-2', '10.0.0.4', 'open')
  await mesh.apply(object, signal)
  await mesh.taken(refOf(object), signal)
  const changes: readonly [string, readonly string[]][] = [
    ['a field that we own', ['--type=merge', '-p', '{"spec":{"address":"10.9.9.9"}}']],
    ['a field that we do not set', ['--type=merge', '-p', '{"spec":{"weight":5,"labels":{"app2":"x"}}}']],
    ['a label of ours', ['--type=merge', '-p', '{"metadata":{"labels":{"mesh.mooring/pool":"other"}}}']],
    ['its health', ['--subresource=status', '--type=merge', '-p', '{"status":{"conditions":[]}}']],
  ]
  for (const [what, patch] of changes) {
    events.length = 0
    await cluster.kubectl(['patch', 'workloadentry', 'vm-2', '-n', 'shop', ...patch])
    const event = await until(what, () => about('vm-2')[0])
    t.notOk(event.object && sameObject(event.object, object), `${what}: it is another now`)
    await mesh.apply(object, signal)
    const listed = (await mesh.list(signal)).find(({ metadata }) => metadata.name === 'vm-2')
    t.ok(listed && sameObject(listed, object), `${what}: put back`)
  }
  events.length = 0
  const bystander = ['label', 'workloadentry', 'vm-2', '-n', 'shop', 'team=a']
  await cluster.kubectl(bystander)
  await cluster.kubectl(['delete', 'workloadentry', 'vm-2', '-n', 'shop'])
  const [first] = await until('the end of the entry', () => about('vm-2').length > 0 && about('vm-2'))
  t.equal(first?.object, undefined, 'a label of theirs is no matter of ours')
  await mesh.apply(object, signal)
  t.match((await stored(cluster, 'workloadentry', 'shop/vm-2')).status?.conditions, [{ status: 'True' }])
})

t.test('many write the same entry at once, and the last word counts', async (t) => {
  const healths = ['open', 'closed', 'open', 'closed', 'none', 'open'] as const
  await Promise.all(healths.map((health) => mesh.apply(entry('vm-3', '10.0.0.5', health), signal)))
  await mesh.apply(entry('vm-3', '10.0.0.5', 'closed'), signal)
  t.match((await stored(cluster, 'workloadentry', 'shop/vm-3')).status?.conditions, [{ status: 'False' }])
  await cluster.kubectl(['delete', 'workloadentry', 'vm-3', '-n', 'shop'])
  await mesh.apply(entry('vm-3', '10.0.0.5', 'open'), signal)
  await mesh.remove(refOf(entry('vm-3', '10.0.0.5', 'open')), signal)
  await mesh.taken(refOf(entry('vm-3', '10.0.0.5', 'open')), signal)
  await mesh.remove(refOf(entry('vm-3', '10.0.0.5', 'open')), signal)
})

t.test('tokens are a VM’s own, for what pools declare, and end with it', async (t) => {
  const review = async (token: string) => {
    const spec = { token, audiences: ['istio-ca'] }
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec })
    const said = await cluster.kubectl(['create', '-f', '-', '-o', 'json'], { input: body })
    return JSON.parse(said.stdout).status as { authenticated?: boolean; user?: { username?: string } }
  }
  await cluster.kubectl(['delete', 'serviceaccount', 'web', '-n', 'shop'])
  const request = { namespace: 'shop', serviceAccount: 'web', vm: 'vm-4', ttlSeconds: 3600 }
  await mesh.apply(entry('vm-4', '10.0.0.6', 'none'), signal)
  const first = await mesh.mint(request, signal)
  const again = await mesh.mint(request, signal)
  const beside = await mesh.mint({ ...request, vm: 'vm-5' }, signal)
  t.ok(Math.abs(first.expiresAt - Date.now() - 3600_000) < 120_000)
  for (const { token } of [first, again, beside]) {
    t.match(await review(token.reveal()), {
      authenticated: true,
      user: { username: 'system:serviceaccount:shop:web' },
    })
  }
  await mesh.remove(refOf(entry('vm-4', '10.0.0.6', 'none')), signal)
  await t.rejects(cluster.kubectl(['get', 'secret', anchorName('vm-4'), '-n', 'shop']))
  // The API server looks bound objects up in its own watch.
  await until('the end of the token', async () => !(await review(first.token.reveal())).authenticated)
  await until('the end of the other one', async () => !(await review(again.token.reveal())).authenticated)
  t.ok((await review(beside.token.reveal())).authenticated, 'another VM keeps its own')
  const anew = await mesh.mint(request, signal)
  await until('a new token', async () => (await review(anew.token.reveal())).authenticated)

  for (const identity of [
    { namespace: 'shop', serviceAccount: 'admin' },
    { namespace: 'istio-system', serviceAccount: 'istiod' },
  ]) {
    await t.rejects(mesh.mint({ ...request, ...identity }, signal), { code: 'IDENTITY_NOT_DECLARED' })
  }
})

t.test('a list is read in pages', async (t) => {
  const many = Array.from({ length: 600 }, (_, n) => {
    const object = entry(`many-${n}`, `10.1.${n >> 8}.${n & 255}`, 'none')
    return object
  })
  const waiting = [...many]
  const work = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await mesh.apply(next, signal)
  }
  await Promise.all(Array.from({ length: 16 }, work))
  const listed = (await mesh.list(signal)).filter(({ metadata }) => metadata.name.startsWith('many-'))
  t.equal(new Set(listed.map(({ metadata }) => metadata.name)).size, many.length)
  const delay = ['delete', 'workloadentries', '-n', 'shop', '-l', 'mesh.mooring/pool=web', '--wait=false']
  await cluster.kubectl(delay)
})

t.test('what stands against a pool in its namespace is said, not fought', async (t) => {
  const side = poolOf({
    ...webPool,
    namespace: 'side',
    service: { host: 'web.side.svc.cluster.local', ports: webPool.service?.ports ?? [], existing: true },
  })
  await cluster.apply([namespaceObject('side')])
  pools.set('side', side)
  const said = () =>
    mesh
      .faults()
      .map(({ code, detail }) => `${code} ${detail}`)
      .join()
  t.teardown(() => pools.delete('side'))
  const objects = poolObjects('side', side, { address: '' }, 'kubernetes')
  t.notOk(
    objects.some(({ kind }) => kind === 'ServiceEntry'),
    'the Service is the user’s',
  )
  const own = objects.find(({ kind }) => kind === 'Sidecar') as IstioObject
  await until('the missing Service', () => said().includes('MESH_SERVICE_UNFIT there is no Service side/web'))
  const service = (selector: object) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'side' },
    spec: { selector, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  })
  await cluster.apply([service({ app: 'another' })])
  await until('the other selector', () => said().includes('selector of Service side/web does not fit'))
  await cluster.apply([service({ app: 'web' })])
  await until('peace', () => said() === '')

  const theirs = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'egress', namespace: 'side' },
    spec: { workloadSelector: { labels: { app: 'web' } }, egress: [{ hosts: ['./*'] }] },
  }
  await cluster.apply([theirs])
  await until('the clash', () => said().includes('MESH_SIDECAR_CLASH Sidecar side/egress'))
  await t.rejects(mesh.apply(own, signal), { code: 'MESH_SIDECAR_CLASH', detail: /side\/egress/ })
  await t.rejects(stored(cluster, 'sidecar', 'side/side'), 'ours was not written beside it')
  await cluster.kubectl(['delete', 'sidecar', 'egress', '-n', 'side'])
  await until('peace', () => said() === '')
  await mesh.apply(own, signal)
  t.ok(await stored(cluster, 'sidecar', 'side/side'))
})

t.test('a WorkloadGroup of the user’s own is read and followed', async (t) => {
  const group = (locality: string) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadGroup',
    metadata: { name: 'own', namespace: 'shop' },
    spec: { metadata: { labels: { app: 'own' } }, template: { locality, serviceAccount: 'web' } },
  })
  pools.set('grouped', poolOf({ ...webPool, workloadGroup: 'own' }))
  t.teardown(() => pools.delete('grouped'))
  const missing = () => mesh.faults().filter(({ code }) => code === 'MESH_GROUP_MISSING')
  t.match(missing(), [{ pool: 'grouped', detail: /no WorkloadGroup shop\/own/ }])
  await cluster.apply([group('a/b')])
  const locality = () => mesh.group('shop', 'own')?.template?.locality
  await until('the group', () => locality() === 'a/b')
  events.length = 0
  await cluster.apply([group('a/c')])
  await until('its change', () => locality() === 'a/c')
  t.match(events, [{ about: 'group', namespace: 'shop', name: 'own' }])
  t.same(missing(), [])
  await cluster.kubectl(['delete', 'workloadgroup', 'own', '-n', 'shop'])
  await until('its end', () => mesh.group('shop', 'own') === undefined)
  t.equal(missing().length, 1)
})

t.test(
  'a revision is looked at when a pool names it, and what it lacks stands against that pool alone',
  async (t) => {
    t.throws(() => mesh.facts('canary'), { code: 'MESH_FACTS_MISSING' })
    pools.set('canary', poolOf({ ...webPool, revision: 'canary' }))
    pools.set('secret', poolOf({ ...webPool, revision: 'unreadable' }))
    t.teardown(() => pools.delete('canary') && pools.delete('secret'))
    const said = (pool: string) => mesh.faults().find((fault) => fault.pool === pool)?.detail
    await until('what is missing', () => said('canary')?.includes('ConfigMap istio-system/istio-canary'))
    t.match(
      said('secret'),
      /get configmaps istio-system\/istio-(sidecar-injector-)?unreadable/,
      'what may not be read',
    )
    t.ok(
      mesh.health().every(({ ok }) => ok),
      'VMs of other pools are none the worse',
    )
    const request = { namespace: 'shop', serviceAccount: 'web', vm: 'vm-r', ttlSeconds: 3600 }
    await t.rejects(mesh.mint({ ...request, revision: 'canary' }, signal), { code: 'MESH_FACTS_MISSING' })
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'istio-canary', namespace: 'istio-system' },
        data: { mesh: 'trustDomain: mesh.example\ndefaultConfig:\n  meshId: mesh-2\n' },
      },
    ])
    await until('the revision', () => said('canary') === undefined)
    t.match(mesh.facts('canary'), { revision: 'canary', meshId: 'mesh-2', istiod: { address: '192.0.2.7' } })
    t.match(mesh.facts(), { meshId: 'mesh-1' })
    t.ok((await mesh.mint({ ...request, revision: 'canary' }, signal)).token)
    await cluster.kubectl(['delete', 'configmap', 'istio-canary', '-n', 'istio-system'])
  },
)

t.test('what is missing is named: namespace, permission, installation, definitions', async (t) => {
  const lost = { ...webPool, namespace: 'nowhere' }
  const nowhere = entry('vm-6', '10.0.0.7', 'none', lost)
  await t.rejects(mesh.apply(nowhere, signal), { code: 'MESH_NAMESPACE_MISSING', detail: /nowhere/ })
  await mesh.remove(refOf(nowhere), signal)

  await cluster.kubectl(['create', 'clusterrole', 'looker', '--verb=get,list,watch', '--resource=*.*'])
  await cluster.kubectl(['create', 'clusterrolebinding', 'looker', '--clusterrole=looker', '--user=looker'])
  const looker = await openMesh({ cluster, kubeconfig: await cluster.kubeconfigFor('looker'), pools })
  t.teardown(() => looker.close())
  await t.rejects(looker.mesh.apply(entry('vm-7', '10.0.0.8', 'none'), signal), {
    code: 'KUBERNETES_FORBIDDEN',
    detail: /patch workloadentries\.networking\.istio\.io shop\/vm-7/,
  })
  await t.rejects(
    openMesh({ cluster, kubeconfig, pools, settings: { revision: 'canary' }, more: { factsWithinMs: 500 } }),
    { code: 'MESH_FACTS_MISSING', detail: /ConfigMap istio-system\/istio-canary/ },
  )
  const bare = await startCluster({ network, parts, istio: false })
  t.teardown(() => bare.stop())
  await bare.apply([...istioInstallation, namespaceObject('shop')])
  const early = await openMesh({ cluster: bare, kubeconfig: bare.kubeconfig, pools })
  t.teardown(() => early.close())
  await t.rejects(early.mesh.apply(entry('vm-8', '10.0.0.8', 'none'), signal), {
    code: 'KUBERNETES_KIND_MISSING',
    detail: /workloadentries\.networking\.istio\.io/,
  })
})

t.test('an API server that was away is followed again, with what happened meanwhile', async (t) => {
  const object = entry('vm-9', '10.0.0.9', 'open')
  await mesh.apply(object, signal)
  await mesh.taken(refOf(object), signal)
  events.length = 0
  await cluster.apiServer.kill()
  await t.rejects(mesh.apply(entry('vm-9', '10.0.0.9', 'closed'), signal), { code: 'MESH_UNAVAILABLE' })
  await cluster.apiServer.start()
  await cluster.kubectl(['delete', 'workloadentry', 'vm-9', '-n', 'shop'])
  await until('word of the deletion', () => about('vm-9').some(({ object }) => object === undefined))
  await until('all to be well', () => mesh.health().every(({ ok }) => ok))
  await mesh.apply(entry('vm-9', '10.0.0.9', 'closed'), signal)
  t.match((await stored(cluster, 'workloadentry', 'shop/vm-9')).status?.conditions, [{ status: 'False' }])
})
