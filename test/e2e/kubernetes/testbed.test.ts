import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { bakeSidecar } from '../../testbed/bake.ts'
import { type Cluster, startCluster } from '../../testbed/kubernetes/cluster.ts'
import { nodeGroups } from '../../testbed/kubernetes/control-groups.ts'
import { startControllers } from '../../testbed/kubernetes/controllers.ts'
import { startIstiod } from '../../testbed/kubernetes/istiod.ts'
import { startNode } from '../../testbed/kubernetes/node.ts'
import { ensureClusterParts, ensureIstiodParts, ensureNodeParts } from '../../testbed/kubernetes/parts.ts'
import { podObject } from '../../testbed/kubernetes/pod.ts'
import { processesIn } from '../../testbed/network/namespace-processes.ts'
import { createNetwork, type Network } from '../../testbed/network/network.ts'
import { identifyProcess } from '../../testbed/network/process-identity.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress as progress } from '../../testbed/progress.ts'
import { waitFor } from '../../world/waiting.ts'
import { bundleFor } from '../agent/sidecar-vm.ts'
import { installSidecar, startSidecar } from '../mesh/sidecar.ts'

const testbed = fileURLToPath(new URL('../../testbed/', import.meta.url))
const serve = 'mkdir /tmp/w && echo "pod $HOSTNAME" > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w'
// What a client in a pod does by itself: the address from its environment, authority and token from its files.
const whoAmI = `
  import { readFileSync } from 'node:fs'
  import { request } from 'node:https'
  const read = (name) => readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/' + name, 'utf8')
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
  const headers = { authorization: 'Bearer ' + read('token'), 'content-type': 'application/json' }
  const asked = request({ host, port, path, method: 'POST', headers, ca: read('ca.crt'), timeout: 10_000 }, (response) => {
    response.pipe(process.stdout)
  })
  asked.end('{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}')`
// The parts are in the cache when the tests run by themselves; the first time of all they take many minutes.
t.setTimeout(14 * 60_000)

t.test('a control plane: definitions, rights, tokens, and faults', async (t) => {
  const network = await open(t, 'control')
  const parts = await ensureClusterParts({ progress })
  const cluster = await startCluster({ network, parts, users: [{ name: 'robot', groups: ['ops'] }] })

  await t.test('Istio is known, and what breaks its schema is refused', async (t) => {
    await cluster.apply([workloadEntry('i-1', '10.77.0.99')])
    const known = await cluster.kubectl(['get', 'workloadentry', 'i-1', '-o', 'jsonpath={.spec.address}'])
    t.equal(known.stdout, '10.77.0.99')
    const wrong = { ...workloadEntry('i-2', '10.77.0.98'), spec: { address: 7 } }
    await t.rejects(cluster.apply([wrong]), { code: 'COMMAND_FAILED', message: /spec\.address/ })
  })

  await t.test('rights are those that were given, to users by certificate and by token', async (t) => {
    const jane = await cluster.kubeconfigFor('jane', ['ops'])
    const read = ['get', 'workloadentries', '-o', 'name']
    await t.rejects(cluster.kubectl(read, { kubeconfig: jane }), {
      message: /User "jane" cannot list resource/,
    })
    await cluster.kubectl(['create', 'role', 'reader', '--verb=list', '--resource=workloadentries'])
    await cluster.kubectl(['create', 'rolebinding', 'ops', '--role=reader', '--group=ops'])
    t.match((await cluster.kubectl(read, { kubeconfig: jane })).stdout, 'workloadentry')
    await t.rejects(cluster.kubectl(['delete', 'workloadentry', 'i-1'], { kubeconfig: jane }), {
      message: /cannot delete resource/,
    })
    const asRobot = ['-s', '-k', '-H', `authorization: Bearer ${cluster.tokens.robot}`]
    const list = `${cluster.url}/apis/networking.istio.io/v1/namespaces/default/workloadentries`
    t.match((await network.host.exec('curl', [...asRobot, list])).stdout, '"i-1"')
  })

  await t.test('service accounts get tokens for whom they are meant', async (t) => {
    const token = await cluster.tokenFor('shop', 'web', { audience: 'istio-ca' })
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    t.match(claims, { aud: ['istio-ca'], sub: 'system:serviceaccount:shop:web' })
    const account = await cluster.kubeconfigFor('system:serviceaccount:shop:web')
    const who = await cluster.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'], {
      kubeconfig: account,
    })
    t.equal(who.stdout, 'system:serviceaccount:shop:web')
  })

  await t.test('VMs reach it where tests do', async (t) => {
    const vm = await network.addVm('vm')
    t.equal((await vm.exec('curl', ['-s', '-k', `${cluster.url}/readyz`])).stdout, 'ok')
  })

  await t.test('what it knows outlives its programs', async (t) => {
    await cluster.etcd.restart()
    await cluster.apiServer.kill()
    await t.rejects(cluster.kubectl(['get', 'ns', '--request-timeout=5s']), { code: 'COMMAND_FAILED' })
    await cluster.apiServer.start()
    cluster.apiServer.pause()
    await t.rejects(cluster.kubectl(['get', 'ns', '--request-timeout=1s']), { code: 'COMMAND_FAILED' })
    cluster.apiServer.resume()
    t.match((await cluster.kubectl(['get', 'workloadentries', '-o', 'name'])).stdout, 'i-1')
  })

  await cluster.stop()
  t.same([cluster.etcd.pid, cluster.apiServer.pid], [undefined, undefined])
})

t.test('a pod with an injected sidecar and a VM call each other, under STRICT mTLS', async (t) => {
  const network = await open(t, 'pods')
  const { cluster, istiod, node } = await startEverything(network)
  t.match(await istiod.rootCertificates(), '-----BEGIN CERTIFICATE-----')
  await cluster.apply(meshObjects())
  await cluster.kubectl(['label', 'namespace', 'default', 'istio-injection=enabled'])
  const hosts = [{ address: istiod.address, names: [istiod.host] }]
  const command = ['/bin/sh', '-c', serve]
  await cluster.apply([
    podObject({ name: 'shop', command, hosts, serviceAccount: 'shop' }),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'plain' } },
  ])

  const vm = await network.addVm('reviews')
  const app = [`${testbed}apps/app-server.ts`, '--name', 'vm-app']
  await firstLine(vm.spawn(process.execPath, app))
  const parts = await ensureParts({ progress })
  const bundle = await bundleFor(vm, {
    app: 'reviews',
    baked: await bakeSidecar({ parts }),
    istiod: {
      address: istiod.address,
      port: 15012,
      rootCertificates: await istiod.rootCertificates(),
      token: (account) => cluster.tokenFor('default', account, { audience: 'istio-ca' }),
      apply: (objects) => cluster.apply(objects),
    },
  })
  await startSidecar(vm, bundle, await installSidecar(network, parts))
  await cluster.apply([workloadEntry('reviews-1', vm.address)])
  await setHealthy(cluster, 'reviews-1')
  await ready(cluster, 'shop', 'default')
  const names = [
    'get',
    'pod',
    'shop',
    '-o',
    'jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}',
  ]
  t.match((await cluster.kubectl(names)).stdout, 'istio-proxy', 'it was injected')

  const inPod = async (pod: string, namespace: string, ...command: readonly string[]) => {
    const { stdout } = await cluster.kubectl(['exec', pod, '-n', namespace, '-c', 'app', '--', ...command])
    return stdout
  }
  const call = ['timeout', '5', 'wget', '-q', '-O', '-']
  const toVm = await waitFor(
    () => inPod('shop', 'default', ...call, 'http://reviews.default.svc.cluster.local/'),
    { what: 'an answer of the VM to the pod' },
  )
  t.match(toVm, 'vm-app')
  const curl = ['-s', '-f', '-m', '5', 'http://shop.default.svc.cluster.local/']
  const toPod = await waitFor(async () => (await vm.exec('curl', curl)).stdout, {
    what: 'an answer of the pod to the VM',
  })
  t.match(toPod, 'pod shop')

  const runtime = [{ from: dirname(process.execPath), at: '/node' }]
  await cluster.kubectl(['wait', '--for=create', 'serviceaccount/default', '-n', 'plain', '--timeout=60s'])
  await cluster.apply([podObject({ name: 'outsider', namespace: 'plain', command, shares: runtime })])
  await ready(cluster, 'outsider', 'plain')
  const asOutsider = (url: string) => inPod('outsider', 'plain', ...call, url)
  await t.rejects(asOutsider(`http://${vm.address}:8080/`), 'plain text does not get into the VM')
  await t.rejects(asOutsider(`http://${await podAddress(cluster, 'shop')}:8080/`), 'nor into the pod')
  t.match(await asOutsider('http://127.0.0.1:8080/'), 'outsider', 'where it can call at all')
  const who = await inPod('outsider', 'plain', '/node/node', '--input-type=module', '-e', whoAmI)
  t.match(who, 'system:serviceaccount:plain:default', 'pods reach the API server as pods do')

  const pids = await processesOfNode(network)
  t.ok(pids.length > 4, `there is something to leave: ${pids.length} processes`)
  await node.stop()
  t.same(await nodeGroups(node.group), [])
  await waitFor(async () => (await alive(pids)).length === 0, { what: 'the end of all that was on the node' })
})

t.test('nothing is left of a node whose owner is killed', async (t) => {
  const owner = await startOwner(t)
  const pids = await processesOfNode(owner)
  t.ok(pids.length > 4, 'there was something to leave')
  owner.child.kill('SIGKILL')
  await waitFor(async () => (await alive(pids)).length === 0, { what: 'the end of its processes' })
  await waitFor(async () => !existsSync(owner.tempDir) && (await nodeGroups(owner.group)).length === 0, {
    what: 'the end of its files and control groups',
  })
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  t.same(
    mounts.filter((line) => line.includes(owner.id)),
    [],
  )
  for (const place of ['/run/netns', '/sys/class/net'])
    t.same(
      (await readdir(place)).filter((name) => name.includes(owner.id)),
      [],
      place,
    )
})

async function open(t: Test, name: string): Promise<Network> {
  const network = await createNetwork({ name })
  t.teardown(() => network.close())
  return network
}

async function startEverything(network: Network) {
  const parts = await ensureClusterParts({ progress })
  const istiodParts = await ensureIstiodParts({ progress })
  const nodeParts = await ensureNodeParts({ progress })
  const cluster = await startCluster({ network, parts })
  const [istiod, node] = await Promise.all([
    startIstiod({ network, cluster, parts: istiodParts }),
    startNode({ network, cluster, parts: nodeParts }),
    startControllers({ network, cluster, parts: nodeParts }),
  ] as const)
  return { cluster, istiod, node }
}

function workloadEntry(name: string, address: string): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: {
      name,
      namespace: 'default',
      annotations: { 'proxy.istio.io/health-checks-enabled': 'true' },
    },
    spec: { address, labels: { app: 'reviews' }, serviceAccount: 'reviews' },
  }
}

async function setHealthy(cluster: Cluster, name: string): Promise<void> {
  const status = { conditions: [{ type: 'Healthy', status: 'True' }] }
  const patch = ['patch', 'workloadentry', name, '--subresource=status', '--type=merge']
  await cluster.kubectl([...patch, '-p', JSON.stringify({ status })])
}

function meshObjects(): readonly object[] {
  const service = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  })
  const account = (name: string) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: 'default' },
  })
  const strict = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: 'istio-system' },
    spec: { mtls: { mode: 'STRICT' } },
  }
  return [...['reviews', 'shop'].flatMap((name) => [service(name), account(name)]), strict]
}

async function ready(cluster: Cluster, pod: string, namespace: string): Promise<void> {
  const wait = ['wait', '--for=condition=Ready', `pod/${pod}`, '-n', namespace, '--timeout=180s']
  await cluster.kubectl(wait, { timeoutMs: 200_000 }).catch(async (cause) => {
    const { stdout } = await cluster.kubectl(['describe', 'pod', pod, '-n', namespace])
    throw new Error(stdout.slice(-3000), { cause })
  })
}

async function podAddress(cluster: Cluster, pod: string): Promise<string> {
  return (await cluster.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.podIP}'])).stdout
}

interface Owner {
  readonly child: ChildProcess
  readonly id: string
  readonly tempDir: string
  readonly group: string
}

/** A process that makes a cluster with a node and a pod on it. */
async function startOwner(t: Test): Promise<Owner> {
  const from = (path: string) => JSON.stringify(`${testbed}${path}`)
  const program = `
    const { createNetwork } = await import(${from('network/network.ts')})
    const { startCluster } = await import(${from('kubernetes/cluster.ts')})
    const { startControllers } = await import(${from('kubernetes/controllers.ts')})
    const { startNode } = await import(${from('kubernetes/node.ts')})
    const { podObject } = await import(${from('kubernetes/pod.ts')})
    const { ensureClusterParts, ensureNodeParts } = await import(${from('kubernetes/parts.ts')})
    const { silentProgress: progress } = await import(${from('progress.ts')})
    const network = await createNetwork({ name: 'doomed' })
    const cluster = await startCluster({ network, parts: await ensureClusterParts({ progress }), istio: false })
    const parts = await ensureNodeParts({ progress })
    const [node] = await Promise.all([
      startNode({ network, cluster, parts }), startControllers({ network, cluster, parts })])
    await cluster.kubectl(['wait', '--for=create', 'serviceaccount/default', '--timeout=60s'])
    await cluster.apply([podObject({ name: 'a', command: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'] })])
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/a', '--timeout=100s'])
    console.log(JSON.stringify({ id: network.id, tempDir: network.tempDir, group: node.group }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME },
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, ...JSON.parse(await firstLine(child)) }
}

/** The first process of a network's node and all below it, as this machine numbers them. */
async function processesOfNode({ id }: { readonly id: string }): Promise<readonly number[]> {
  const read = (pid: number) => readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const inside = await processesIn(`mooring-${id}-host`)
  const status = await Promise.all(inside.map(async (pid) => ({ pid, text: await read(pid) })))
  const first = status.find(({ text }) => /^NSpid:\t\d+\t1$/m.test(text))?.pid
  if (first === undefined) throw new Error(`no node in ${id}`)
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(
    all.map(async (pid) => ({ pid, parent: Number(/^PPid:\t(\d+)$/m.exec(await read(pid))?.[1]) })),
  )
  const found = [first]
  for (const pid of found) found.push(...parents.filter(({ parent }) => parent === pid).map((one) => one.pid))
  return found
}

async function alive(pids: readonly number[]): Promise<readonly number[]> {
  const running = await Promise.all(pids.map((pid) => identifyProcess(pid)))
  return running.flatMap((process) => (process === undefined ? [] : [process.pid]))
}

function firstLine(child: ChildProcess): Promise<string> {
  const { stdout } = child
  if (stdout === null) throw new Error('its output is not piped')
  return new Promise((resolve, reject) => {
    createInterface({ input: stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`it ended with ${code} before it said anything`)))
  })
}
