import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { judgeToken, usedToken } from '../../../controller/join/token.ts'
import { type Client, createClient } from '../../../controller/kubernetes/client.ts'
import { createConnection } from '../../../controller/kubernetes/connection.ts'
import { readAccess } from '../../../controller/kubernetes/kubeconfig.ts'
import { createElection } from '../../../controller/kubernetes/lease.ts'
import { readEvents } from '../../../controller/kubernetes/watch-events.ts'
import { type CustomObject, pools, virtualMachines } from '../../../controller/store/kubernetes/resources.ts'
import { vmParts } from '../../../controller/store/kubernetes/vm-codec.ts'
import type { ResourceStore } from '../../../controller/store/resource-store.ts'
import { systemClock } from '../../../shared/clock.ts'
import { isMooringError } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { loopbackPool } from '../../fakes/controller.ts'
import { fullRecord, leftOut, openKubernetesStore } from '../../fakes/kubernetes-store.ts'
import { startCluster } from '../../testbed/kubernetes/cluster.ts'
import { ensureClusterParts } from '../../testbed/kubernetes/parts.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { storeConformance } from '../../unit/controller/store/conformance.ts'
import { startRelay } from './relay.ts'

t.setTimeout(500_000)

const definitions = ['pools', 'virtualmachines'].map((name) =>
  fileURLToPath(new URL(`../../../packaging/helm/crds/${name}.yaml`, import.meta.url)),
)
const parts = await ensureClusterParts({ progress: silentProgress })
const network = await createNetwork({ name: 'store' })
t.teardown(() => network.close())
const cluster = await startCluster({ network, parts, istio: false })
for (const file of definitions) await cluster.apply(await readFile(file, 'utf8'))
for (const plural of ['pools', 'virtualmachines']) {
  await cluster.kubectl([
    'wait',
    '--for=condition=Established',
    `crd/${plural}.mesh.mooring`,
    '--timeout=60s',
  ])
}
let namespaces = 0
const pool = {
  spec: { ...loopbackPool, namespace: 'shop' },
  createdAt: 1_700_000_000_001,
  updatedAt: 1_700_000_000_002,
}
const plain = leftOut(fullRecord, 'drain', 'revoked', 'artifact', 'update', 'restart', 'refusedArtifact')
await namespace('shop')

async function namespace(name: string): Promise<string> {
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }])
  return name
}

function connect(t: Pick<Test, 'teardown'>, kubeconfig = cluster.kubeconfig) {
  const connection = createConnection({ access: () => readAccess({ file: kubeconfig }), clock: systemClock })
  t.teardown(() => connection.close())
  return createClient({ connection, unavailable: 'STORE_UNAVAILABLE' })
}

async function open(t: Pick<Test, 'teardown'>) {
  namespaces += 1
  const client = connect(t)
  const store = await openKubernetesStore(client, { namespace: await namespace(`mooring-${namespaces}`) })
  t.teardown(() => store.close())
  return { client, store }
}

async function put(store: ResourceStore, name: string, value: typeof fullRecord): Promise<void> {
  const version = (await store.get('vm', name))?.version
  await store.commit([{ put: 'vm', name, value, ...(version !== undefined && { version }) }])
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 20))
}

storeConformance('kubernetes', async () => (await open(t)).store)

t.test('pools and VMs come back as they were put, and are seen by another replica', async (t) => {
  const { store, client } = await open(t)
  const other = await openKubernetesStore(connect(t), { namespace: 'mooring-1' })
  t.teardown(() => other.close())
  await store.commit([{ put: 'pool', name: 'web', value: pool }])
  t.same((await store.get('pool', 'web'))?.value, pool)
  const odd = {
    ...fullRecord,
    unforeseen: { deep: [1, { x: null }] },
    health: 'odd',
  } as never as typeof fullRecord
  for (const [name, value] of [
    ['vm-full', fullRecord],
    ['vm-odd', odd],
  ] as const) {
    await put(store, name, value)
    t.same((await store.get('vm', name))?.value, value, name)
    await put(store, name, { ...value, phase: 'unhealthy', address: '10.0.0.99' })
    t.same((await store.get('vm', name))?.value, { ...value, phase: 'unhealthy', address: '10.0.0.99' }, name)
    await until(async () => (await other.get('vm', name))?.value.phase === 'unhealthy')
    t.same((await other.get('vm', name))?.value, { ...value, phase: 'unhealthy', address: '10.0.0.99' }, name)
  }
  const object = await client.get<CustomObject>(virtualMachines, { namespace: 'shop', name: 'vm-full' })
  t.match(object?.status, { phase: 'unhealthy', observedGeneration: 2 })
})

t.test('kubectl waits for conditions, knows the short names, and shows what matters', async (t) => {
  const { store } = await open(t)
  await put(store, 'vm-wait', { ...plain, phase: 'joined', conditions: [] })
  const waiting = cluster.kubectl([
    'wait',
    '-n',
    'shop',
    '--for=condition=Ready',
    'vm/vm-wait',
    '--timeout=120s',
  ])
  await put(store, 'vm-wait', plain)
  t.match((await waiting).stdout, 'condition met')
  const { stdout } = await cluster.kubectl(['get', 'vm', '-n', 'shop', 'vm-wait'])
  t.match(stdout, /NAME +POOL +PHASE +READY +ADDRESS +AGE\s+vm-wait +web +ready +True +10\.0\.0\.7/)
  const wait = ['wait', '-n', 'shop', '--for=condition=Accepted', 'mpool/web', '--timeout=120s']
  t.match((await cluster.kubectl(wait)).stdout, 'condition met')
  t.match((await cluster.kubectl(['get', 'mooring', '-n', 'shop'])).stdout, /virtualmachine\S+\/vm-wait/)
})

t.test('what cannot be is refused by the API server, which names the field', async (t) => {
  const base = {
    apiVersion: 'mesh.mooring/v1alpha1',
    kind: 'Pool',
    metadata: { name: 'bad', namespace: 'shop' },
  }
  const good = { serviceAccount: 'web', join: { methods: ['token'], cidrs: ['10.0.0.0/8'] } }
  const cases: readonly [object, RegExp][] = [
    [{ ...good, join: { ...good.join, cidrs: ['999.0.0.0/8'] } }, /spec\.join\.cidrs.*prefix length/],
    [{ ...good, join: { ...good.join, methods: ['none'] } }, /spec\.join\.methods\[0\].*token/],
    [{ ...good, join: { cidrs: [] } }, /spec\.join\.methods: Required/],
    [{ ...good, liveness: { heartbeatSeconds: 5 } }, /spec\.liveness.*1\.5 times/],
    [{ ...good, rollout: { maxUnavailable: 'all' } }, /spec\.rollout\.maxUnavailable/],
    [{ ...good, rollout: { maxUnavailable: 0 } }, /spec\.rollout\.maxUnavailable/],
    [{ ...good, probe: { exec: { command: ['\u0000'] } } }, /spec\.probe\.exec\.command/],
    [{ ...good, labels: { app: 1 } }, /spec\.labels/],
    [{ ...good, serviceAcount: 'web' }, /unknown field "spec\.serviceAcount"|field not declared in schema/],
    [
      {
        ...good,
        service: {
          host: 'web.shop',
          ports: [
            { name: 'a', number: 80, protocol: 'HTTP' },
            { name: 'b', number: 80, protocol: 'TCP' },
          ],
        },
      },
      /spec\.service\.ports.*twice/,
    ],
  ]
  for (const [spec, said] of cases) {
    await t.rejects(cluster.apply([{ ...base, spec }]), { message: said }, JSON.stringify(spec))
  }
  const name = 'a-name.with-a-dot'
  await t.rejects(cluster.apply([{ ...base, metadata: { ...base.metadata, name }, spec: good }]), {
    message: /DNS label/,
  })
  await cluster.apply([
    {
      ...base,
      metadata: { ...base.metadata, name: 'fine' },
      spec: { ...good, rollout: { maxUnavailable: '25%' } },
    },
  ])
  const client = connect(t)
  const fine = (await client.get<CustomObject>(pools, { namespace: 'shop', name: 'fine' })) as CustomObject
  const spec = { ...fine.spec, serviceAccount: 'other' }
  await t.rejects(client.replace(pools, { ...fine, spec } as CustomObject, { strict: true }), {
    code: 'KUBERNETES_REFUSED',
    detail: /spec\.serviceAccount: .*cannot change/,
  })
  await refusedVms(t)
  const revoked = await client.get<CustomObject>(virtualMachines, { namespace: 'shop', name: 'vm-full' })
  const { revoked: _, ...rest } = revoked?.spec ?? {}
  await t.rejects(client.replace(virtualMachines, { ...revoked, spec: rest } as CustomObject), {
    code: 'KUBERNETES_REFUSED',
    detail: /final/,
  })
})

async function refusedVms(t: Test): Promise<void> {
  const base = {
    apiVersion: 'mesh.mooring/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: 'vm-bad', namespace: 'shop' },
  }
  const spec = vmParts(plain).spec
  const [nic] = spec.nics as object[]
  const cases: readonly [object, RegExp][] = [
    [{ ...spec, address: 'somewhere' }, /spec\.address/],
    [{ ...spec, keyThumbprint: 'ab' }, /spec\.keyThumbprint/],
    [{ ...spec, nics: [{ ...nic, prefix: 129 }] }, /spec\.nics\[0\]\.prefix/],
    [{ ...spec, admittedAt: 'yesterday' }, /spec\.admittedAt/],
    [{ ...spec, pool: 'Not A Pool' }, /spec\.pool/],
    [{ ...spec, drain: { reason: 'boredom' } }, /spec\.drain\.(reason|after)/],
    [leftOut(spec, 'pool'), /spec\.pool: Required/],
    [{ ...spec, colour: 'red' }, /unknown field "spec\.colour"|field not declared in schema/],
  ]
  for (const [bad, said] of cases) {
    await t.rejects(cluster.apply([{ ...base, spec: bad }]), { message: said }, JSON.stringify(bad))
  }
  await cluster.apply([{ ...base, spec }])
  const other = { ...spec, keyThumbprint: 'cd'.repeat(32) }
  await t.rejects(cluster.apply([{ ...base, spec: other }]), { message: /key is its identity/ })
  await cluster.kubectl(['delete', 'vm', '-n', 'shop', 'vm-bad', '--wait=false'])
}

t.test('a missing permission is named by verb and resource; a missing definition by its kind', async (t) => {
  const client = connect(t, await cluster.kubeconfigFor('jane'))
  await t.rejects(client.list(virtualMachines), {
    code: 'KUBERNETES_FORBIDDEN',
    detail: 'list virtualmachines.mesh.mooring',
  })
  const unknown = { group: 'mesh.mooring', version: 'v1alpha1', plural: 'nothings', kind: 'Nothing' }
  await t.rejects(connect(t).list(unknown), {
    code: 'KUBERNETES_KIND_MISSING',
    detail: 'nothings.mesh.mooring',
  })
  await t.rejects(
    connect(t).create(pools, { metadata: { namespace: 'nowhere', name: 'x' }, spec: {} } as CustomObject),
    {
      code: /NOT_FOUND|KUBERNETES_REFUSED/,
    },
  )
})

t.test('the API server dies: reads go on, writes say so, and all converges when it is back', async (t) => {
  const { store } = await open(t)
  await put(store, 'vm-away', plain)
  await cluster.apiServer.kill()
  await until(() => store.health().some(({ ok }) => !ok))
  t.equal((await store.get('vm', 'vm-away'))?.value.phase, 'ready')
  await t.rejects(put(store, 'vm-away', { ...plain, address: '10.0.0.8' }), { code: 'STORE_UNAVAILABLE' })
  await cluster.apiServer.start()
  await cluster.kubectl(['delete', 'vm', '-n', 'shop', 'vm-away', '--wait=false'])
  await until(async () => (await store.get('vm', 'vm-away'))?.value.revoked !== undefined)
  await until(() => store.health().every(({ ok }) => ok))
  await put(store, 'vm-back', plain)
  await cluster.etcd.restart()
  await until(async () => {
    try {
      await put(store, 'vm-back', { ...plain, address: '10.0.0.9' })
      return true
    } catch {
      return false
    }
  })
  t.equal((await store.get('vm', 'vm-back'))?.value.address, '10.0.0.9')
})

t.test('kubectl delete removes a VM, and holds its pool until it left', async (t) => {
  const { store } = await open(t)
  const held = { ...pool, spec: { ...pool.spec, serviceAccount: 'held' } }
  await store.commit([{ put: 'pool', name: 'held', value: held }])
  await put(store, 'vm-held', { ...plain, pool: 'held', address: '10.0.0.44' })
  const gone = cluster.kubectl(['delete', 'mpool/held', 'vm/vm-held', '-n', 'shop', '--timeout=120s'])
  await until(async () => (await store.get('vm', 'vm-held'))?.value.drain !== undefined)
  const wait = ['wait', '-n', 'shop', '--for=condition=Deleting', 'mpool/held', '--timeout=120s']
  t.match((await cluster.kubectl(wait)).stdout, 'condition met')
  const path = 'jsonpath={.status.conditions[?(@.type=="Deleting")].message}'
  const { stdout } = await cluster.kubectl(['get', 'mpool', 'held', '-n', 'shop', '-o', path])
  t.match(stdout, /until its VMs left: vm-held; kubectl delete vm -l/)
  const wished = (await store.get('vm', 'vm-held'))?.value as typeof fullRecord
  t.match(wished, { phase: 'ready', revoked: { by: 'kubernetes' }, drain: { reason: 'removed' } })
  await put(store, 'vm-held', { ...leftOut(wished, 'drain'), phase: 'left' } as typeof fullRecord)
  t.match((await gone).stdout, /pool\S+ "held" deleted[\s\S]*"vm-held" deleted/)
  t.match((await store.get('vm', 'vm-held'))?.value, { phase: 'left', revoked: { by: 'kubernetes' } })
})

t.test('two replicas grant every use of a token and not one more, each with small writes', async (t) => {
  const { store, client } = await open(t)
  const other = await openKubernetesStore(client, { namespace: `mooring-${namespaces}` })
  t.teardown(() => other.close())
  const name = 'tok-0123456789abcdef'
  const hash = 'ab'.repeat(32)
  const fresh = {
    pool: 'web',
    hash,
    uses: 130,
    usedBy: [],
    createdAt: 1,
    expiresAt: 2,
    createdBy: 'operator:ada',
  }
  await store.commit([{ put: 'token', name, value: fresh }])
  await until(async () => (await other.get('token', name)) !== undefined)
  const key = (n: number) => createHash('sha256').update(String(n)).digest('hex')
  const granted = new Set<string>()
  const use = async (replica: ResourceStore, joiner: string) => {
    for (;;) {
      const stored = await replica.get('token', name)
      if (stored === undefined || judgeToken({ stored, hash, pool: 'web', key: joiner, now: 1 })) return
      const value = usedToken(stored.value, joiner)
      try {
        if (value !== stored.value) {
          await replica.commit([{ put: 'token', name, version: stored.version, value }])
        }
        return void granted.add(joiner)
      } catch (error) {
        if (!isMooringError(error, 'CONFLICT')) throw error
      }
    }
  }
  const all = Array.from({ length: 150 }, (_, n) => key(n))
  await Promise.all([
    (async () => {
      for (const joiner of all) await use(store, joiner)
    })(),
    (async () => {
      for (const joiner of all.toReversed()) await use(other, joiner)
    })(),
  ])
  t.equal(granted.size, 130)
  const known = async () => (await other.get('token', name))?.value.usedBy ?? []
  await until(async () => (await known()).length === 130)
  t.same(new Set(await known()), granted)
  await store.commit([{ remove: 'token', name }])
  const left = await cluster.kubectl(['get', 'secret', '-n', `mooring-${namespaces}`, '-o', 'name'])
  t.equal(left.stdout.trim(), '', 'its pages go with it')
})

t.test('any number of requests goes over the kept connections', async (t) => {
  const relay = await startRelay(cluster)
  t.teardown(() => relay.close())
  const store = await openKubernetesStore(connect(t, relay.kubeconfig), { namespace: 'mooring-1' })
  t.teardown(() => store.close())
  const round = () =>
    Promise.all(
      Array.from({ length: 64 }, (_, n) => {
        const value = { ...plain, address: `10.0.1.${n}`, lastSeenAt: plain.lastSeenAt + relay.accepted + n }
        return put(store, `vm-many-${n}`, value)
      }),
    )
  for (let n = 0; n < 4; n += 1) await round()
  const sockets = 32
  t.ok(relay.accepted <= sockets, `${relay.accepted} connections for over 256 requests`)
  for (const { name, value } of await store.list('vm')) {
    if (name.startsWith('vm-many-')) await put(store, name, { ...value, phase: 'left' } as typeof fullRecord)
  }
  t.ok(relay.accepted <= sockets, `${relay.accepted} connections for over 320 requests`)
})

/** What the API server says to who asks for everything since then: the code of an error, or 0. */
async function firstCode(client: Client, resourceVersion: string): Promise<number> {
  const stop = new AbortController()
  const from = { resourceVersion, timeoutSeconds: 60 }
  const body = await client.watch(virtualMachines, {}, from, stop.signal)
  if (body === 'expired') return 410
  try {
    for await (const event of readEvents(body, () => {})) return event.type === 'ERROR' ? event.code : 0
    return 0
  } finally {
    stop.abort()
  }
}

t.test('a watch that was cut is resumed; one that is too old (410) is listed anew', async (t) => {
  const relay = await startRelay(cluster)
  t.teardown(() => relay.close())
  const watcher = await openKubernetesStore(connect(t, relay.kubeconfig), { namespace: 'mooring-1' })
  t.teardown(() => watcher.close())
  const { store } = await open(t)
  await put(store, 'vm-cut', plain)
  await until(async () => (await watcher.get('vm', 'vm-cut')) !== undefined)
  relay.closed = true
  relay.cut()
  await until(() => watcher.health().every(({ ok }) => !ok))
  await put(store, 'vm-cut', { ...plain, address: '10.0.0.61' })
  relay.closed = false
  await until(async () => (await watcher.get('vm', 'vm-cut'))?.value.address === '10.0.0.61')
  await until(() => watcher.health().every(({ ok }) => ok))

  relay.closed = true
  relay.cut()
  await until(() => watcher.health().every(({ ok }) => !ok))
  const at = { namespace: 'shop', name: 'vm-cut' }
  const client = connect(t)
  const object = (await client.get<CustomObject>(virtualMachines, at)) as CustomObject
  await client.replace(virtualMachines, { ...object, metadata: { ...object.metadata, finalizers: [] } })
  await client.remove(virtualMachines, at)
  // An API server that starts knows nothing of what was before: whoever asks for it gets 410.
  await cluster.apiServer.restart()
  t.equal(await firstCode(client, object.metadata.resourceVersion ?? ''), 410)
  relay.closed = false
  await until(async () => (await watcher.get('vm', 'vm-cut')) === undefined)
  await until(() => watcher.health().every(({ ok }) => ok))
})

t.test('a definition older than the controller loses nothing in silence: the field is named', async (t) => {
  const { store } = await open(t)
  const crd = ['crd', 'virtualmachines.mesh.mooring']
  const field = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/restart'
  const patch = JSON.stringify([{ op: 'remove', path: field }])
  await cluster.kubectl(['patch', ...crd, '--type=json', '-p', patch])
  t.teardown(async () => cluster.apply(await readFile(definitions[1] ?? '', 'utf8')))
  await put(store, 'vm-newer', plain)
  await until(async () => {
    try {
      await put(store, 'vm-newer', { ...plain, restart: { since: Date.now() } })
      return false
    } catch (error) {
      t.match(error, { code: 'KUBERNETES_REFUSED', detail: /unknown field "spec\.restart"/ })
      return true
    }
  })
  t.equal((await store.get('vm', 'vm-newer'))?.value.phase, 'ready', 'what can be written is')
})

t.test('clocks that differ by an hour change nobody’s lead', async (t) => {
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const skewed = (ms: number) => ({ ...systemClock, now: () => systemClock.now() + ms })
  const seat = (identity: string, ms: number) => {
    const leads = { times: 0 }
    const election = createElection({
      client: connect(t),
      namespace: 'shop',
      name: 'mooring-skewed',
      identity,
      clock: skewed(ms),
      log: silentLog,
      random: Math.random,
    })
    const lead = async (signal: AbortSignal) => {
      leads.times += 1
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    }
    void election.run(lead, stop.signal)
    return { leads, election }
  }
  const first = seat('first', 0)
  await until(() => first.leads.times === 1)
  const others = [seat('ahead', 3_600_000), seat('behind', -3_600_000)]
  const renewals = async () => {
    const { stdout } = await cluster.kubectl(['get', 'lease', '-n', 'shop', 'mooring-skewed', '-o', 'json'])
    return (JSON.parse(stdout) as { spec: { renewTime: string } }).spec.renewTime
  }
  const seen = new Set<string>()
  // Some renewals of the one that leads, each of which the others see.
  await until(async () => seen.add(await renewals()).size > 4)
  t.ok(first.election.isLeader())
  t.same(
    others.map(({ leads }) => leads.times),
    [0, 0],
  )
})

t.test('one replica leads; when it stands still another one does', async (t) => {
  const seats = ['a', 'b'].map((identity) => {
    const election = createElection({
      client: connect(t),
      namespace: 'shop',
      name: 'mooring-controller',
      identity,
      clock: systemClock,
      log: silentLog,
      random: Math.random,
    })
    const stop = new AbortController()
    const leads = { now: false }
    const lead = async (signal: AbortSignal) => {
      leads.now = true
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      leads.now = false
    }
    return { election, leads, stop, done: election.run(lead, stop.signal) }
  })
  t.teardown(() => {
    for (const { stop } of seats) stop.abort()
  })
  await until(() => seats.some(({ leads }) => leads.now))
  const [first] = seats.filter(({ leads }) => leads.now)
  t.equal(seats.filter(({ leads }) => leads.now).length, 1)
  first?.stop.abort()
  await first?.done
  await until(() => seats.some((seat) => seat !== first && seat.leads.now))
  t.equal(first?.election.isLeader(), false)
  const { stdout } = await cluster.kubectl(['get', 'lease', '-n', 'shop', 'mooring-controller', '-o', 'yaml'])
  t.match(stdout, /leaseTransitions: 1/)
})
