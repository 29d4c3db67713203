import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { parseAllDocuments, stringify } from 'yaml'
import { call } from '../../world/call.ts'
import { chart, namespace, release } from '../../world/kubernetes/chart-controller.ts'
import { createChartWorld } from '../../world/kubernetes/chart-world.ts'
import { failuresOf } from '../../world/load.ts'
import { createMooring } from '../../world/mooring.ts'
import { createOperator } from '../../world/operator.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { echo, serverPool } from '../../world/world.ts'

t.setTimeout(15 * 60_000)

interface KubernetesObject {
  readonly kind: string
}

/** Their definitions are not in the testbed. */
const unknownKinds = ['Certificate', 'ServiceMonitor']

t.test('the chart puts the controller into a cluster, as a pod, and VMs live by it', async (t) => {
  const world = await createChartWorld({ name: 'chart' })
  t.teardown(() => world.close())
  const { cluster, controller, operator } = world
  const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
  const podName = async () =>
    (
      await kubectl('get', 'pods', '-n', namespace, '--field-selector=status.phase=Running', '-o', 'name')
    ).split('\n')

  await t.test('with every switch it is what helm and the API server take', async (t) => {
    t.match(await controller.helm('lint', chart), /0 chart\(s\) failed/)
    const switches = [
      ...['certificate.certManager.enabled=true', 'serviceMonitor.enabled=true'],
      ...['serviceMonitor.tokenSecret.name=x', 'persistence.enabled=true', 'mesh.namespaces={default}'],
      ...['service.type=NodePort', 'service.nodePort=30443', 'advertise={m.example,10.0.0.1}'],
    ].flatMap((each) => ['--set', each])
    const rendered = await controller.helm(
      'template',
      'other',
      chart,
      '--kube-version',
      '1.35.0',
      ...switches,
    )
    const objects = parseAllDocuments(rendered).map((document) => document.toJS() as KubernetesObject | null)
    const known = objects.filter((one) => one !== null && !unknownKinds.includes(one.kind))
    t.equal(objects.filter((one) => one !== null).length - known.length, unknownKinds.length)
    const input = known.map((one) => JSON.stringify(one)).join('\n---\n')
    const apply = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '-f', '-']
    const { stdout } = await cluster.kubectl(apply, { input })
    t.equal(stdout.trim().split('\n').length, known.length)
    await t.rejects(
      controller.helm('template', 'other', chart, '--set', 'replica=2'),
      /'replica' not allowed/,
    )
  })

  await t.test('an operator logs in, declares a pool and makes a token, as the README says', async (t) => {
    const home = t.testdir({ 'pool.yaml': stringify({ name: 'servers', spec: serverPool }) })
    const mooring = createMooring(home)
    const { enrolment } = JSON.parse(await controller.exec('enrol', '--json')) as { enrolment: string }
    const pin = /^pin (\S+)$/m.exec(await controller.exec('pin'))?.[1] ?? ''
    const way = ['--server', controller.operatorUrl, '--pin', pin]
    await mooring.json('login', ...way, '--enrol', enrolment, '--name', 'second')
    await mooring.json('pool', 'apply', '-f', join(home, 'pool.yaml'))
    await mooring.json('token', 'create', '--pool', 'servers', '--out', join(home, 'joins'))
    const vm = await world.prepare('z', 'servers', {
      token: (await readFile(join(home, 'joins'), 'utf8')).trim(),
    })
    await vm.startApp()
    await vm.startAgent()
    t.equal((await vm.waitPhase('ready')).phase, 'ready')
    t.equal(await vm.shutDown(), 0)
  })

  const [a, caller] = [await world.boot('a', 'servers'), await world.boot('caller', 'clients')]
  const { id } = await a.view()

  await t.test('it is nobody, and has no shell and no file that it may change', async (t) => {
    const [pod = ''] = await podName()
    const inPod = (...command: readonly string[]) =>
      cluster.kubectl(['exec', '-n', namespace, pod, '--', ...command])
    await t.rejects(inPod('/bin/sh', '-c', 'true'), /no such file/)
    const script =
      'const {writeFileSync:w}=require("fs");const can=(f)=>{try{w(f,"");return true}catch{return false}};' +
      'console.log(JSON.stringify([process.getuid(),can("/x"),can("/tmp/x")]))'
    const said = await inPod('/usr/lib/mooring/node', '-e', script)
    t.same(JSON.parse(said.stdout), [65_532, false, false])
  })

  await t.test('a VM is Ready for kubectl, and answers over mTLS', async (t) => {
    t.match(await kubectl('wait', '--for=condition=Ready', `vm/${id}`, '--timeout=90s'), 'condition met')
    const answer = await waitFor(
      async () => {
        const { status, body } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        return status === 200 && (JSON.parse(body) as { clientCert: string | null })
      },
      { what: 'a first answer' },
    )
    t.match(answer.clientCert, 'URI=spiffe://cluster.local/ns/default/sa/caller')
    const plain = await call(world.network.host, `http://${a.vm.address}:${echo.http}/`)
    t.equal(plain.status, 0, 'not in plain text')
    t.equal((await a.view()).address, a.vm.address, 'it is known by its own address, through the Service')
  })

  await t.test('who has a role of the chart in the cluster has it at the controller', async (t) => {
    const account = `--serviceaccount=${namespace}:prometheus`
    const role = `--clusterrole=${namespace}:${release}-monitor`
    const token = await cluster.tokenFor(namespace, 'prometheus', { audience: 'mooring' })
    const prometheus = createOperator({ url: controller.operatorUrl, ca: controller.ca, token })
    await t.rejects(prometheus.metrics(), /HTTP 403/)
    await kubectl('create', 'clusterrolebinding', 'prometheus', role, account)
    // What was refused a moment ago is remembered for a little while.
    const figures = await waitFor(() => prometheus.metrics().catch(() => undefined), { what: 'the figures' })
    t.match(figures, /^mooring_/m)
    await t.rejects(prometheus.createToken('servers'), /HTTP 403/)
  })

  const load = world.load(caller, { seconds: 900 })
  await load.firstOk
  const entryOf = async () => kubectl('get', 'workloadentry', id, '-o', 'jsonpath={.metadata.uid}')
  const entry = await entryOf()

  await t.test('helm upgrade with other values: another pod, the same VMs and operators', async (t) => {
    const before = { pod: await podName(), view: await a.view(), pin: controller.pin }
    await controller.upgrade({ config: { log: { level: 'debug' } } })
    t.notSame(await podName(), before.pod)
    t.equal(controller.pin, before.pin)
    await waitFor(async () => (await a.view()).connected, { what: 'its stream' })
    const after = await a.view()
    t.match(after, { id, phase: 'ready' })
    t.equal(after.phaseSince, before.view.phaseSince, 'it was never anything else')
    t.equal(await entryOf(), entry)
    t.equal((await operator.vms()).filter(({ phase }) => phase !== 'left').length, 2)
  })

  await t.test('a pod that is deleted comes back, and VMs join by it', async (t) => {
    await controller.kill()
    await kubectl('rollout', 'status', `deploy/${release}`, '-n', namespace, '--timeout=180s')
    await waitFor(async () => (await a.view()).connected, { what: 'its stream' })
    t.equal((await a.view()).phase, 'ready')
    const b = await world.boot('b', 'servers')
    t.equal((await b.view()).phase, 'ready')
    t.equal(await b.shutDown(), 0)
  })

  await t.test(
    'without a folder that lasts: all but archives is in the cluster, and they come with a volume',
    async (t) => {
      const { pin } = controller
      const { version, path } = world.sidecar
      const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
      await controller.upgrade({
        persistence: { enabled: false },
        extraVolumes: [{ name: 'sidecars', hostPath: { path: dirname(path) } }],
        extraVolumeMounts: [{ name: 'sidecars', mountPath: '/sidecars', readOnly: true }],
        config: { sidecar: { artifacts: [{ version, arch, file: join('/sidecars', basename(path)) }] } },
      })
      t.equal(controller.pin, pin)
      await waitFor(async () => (await a.view()).connected, { what: 'its stream' })
      t.equal((await a.view()).phase, 'ready')
      const c = await world.boot('c', 'servers', { baked: false })
      t.equal((await c.view()).phase, 'ready', 'it joins, with a sidecar out of the volume')
      t.equal(await c.shutDown(), 0)
    },
  )

  await t.test(
    'two replicas are replaced one after the other, and one that is killed is not missed',
    async (t) => {
      const before = (await a.view()).phaseSince
      await controller.upgrade({ replicas: 2 })
      const pods = await podName()
      t.equal(pods.length, 2)
      await controller.upgrade({ podAnnotations: { changed: 'yes' } })
      t.same(
        (await podName()).filter((pod) => pods.includes(pod)),
        [],
      )
      const [victim = ''] = await podName()
      await kubectl('delete', '-n', namespace, victim, '--force')
      await kubectl('rollout', 'status', `deploy/${release}`, '-n', namespace, '--timeout=180s')
      await waitFor(async () => (await a.view()).connected, { what: 'its stream' })
      t.match(await a.view(), { phase: 'ready', phaseSince: before }, 'it was never anything else')
      const d = await world.boot('d', 'servers')
      t.equal((await d.view()).phase, 'ready')
      t.equal(await d.shutDown(), 0)
      await t.rejects(
        controller.helm('upgrade', release, chart, '--set', 'replicas=2,persistence.enabled=true'),
        /folder of one replica/,
      )
    },
  )

  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.comment(sceneLine('chart', summary))

  await t.test('helm uninstall leaves the definitions, the VMs and their endpoints', async (t) => {
    await controller.helm('uninstall', release, '--wait')
    await waitFor(async () => (await kubectl('get', 'pods', '-n', namespace, '-o', 'name')) === '', {
      what: 'the pod to be gone',
    })
    t.match(await kubectl('get', 'crd', '-o', 'name'), /pools\.mesh\.mooring/)
    t.match(await kubectl('get', 'vm', id), / ready /)
    t.equal(await entryOf(), entry)
    t.equal((await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status, 200, 'they serve on')
    await controller.start()
    await waitFor(async () => (await a.view()).connected, { what: 'its stream to the new installation' })
    t.equal((await a.view()).phase, 'ready')
    t.equal(await entryOf(), entry)
  })
})
