import type { X509Certificate } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'
import t from 'tap'
import { parse } from 'yaml'
import { fetchPinnedAuthority } from '../../../cli/trust.ts'
import type { AuditRecord } from '../../../shared/api/operator.ts'
import { call } from '../../world/call.ts'
import { failuresOf } from '../../world/load.ts'
import { createOperator, type Operator } from '../../world/operator.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { echo } from '../../world/world.ts'
import { createKubernetesWorld, type KubernetesWorld } from './controller-scene.ts'

t.setTimeout(20 * 60_000)

const project = resolve(import.meta.dirname, '../../..')
const main = join(project, 'controller/main.ts')
const definitions = join(project, 'packaging/helm/crds')
const { signal } = new AbortController()

t.test('keys of the controller in a cluster: shared, rotated under load, lost and restored', async (t) => {
  // Certificates of a minute, so that a rotation is seen to its end.
  const world = await createKubernetesWorld({
    name: 'k8skeys',
    controller: { certificates: { agentTtlSeconds: 60 } },
  })
  t.teardown(() => world.close())
  const { cluster, controller, network } = world
  const kubectl = async (...args: readonly string[]) => (await cluster.kubectl(args)).stdout.trim()
  const configFile = join(network.hostDir, 'controller.yaml')
  const command = (...args: readonly string[]) =>
    network.host.exec(process.execPath, [main, ...args, '--config', configFile], {
      cwd: project,
      timeoutMs: 120_000,
    })
  /** Nothing stands between an object and its end: the cluster is lost, and nobody was asked. */
  const forget = async (kind: string) => {
    const at = ['-A', '-o', 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}']
    const all = (await kubectl('get', kind, ...at)).split('\n').filter((line) => line !== '')
    for (const [namespace = '', name = ''] of all.map((line) => line.split(' '))) {
      const patch = '{"metadata":{"finalizers":null}}'
      await kubectl('patch', kind, name, '-n', namespace, '--type=merge', '-p', patch)
    }
  }
  const host = network.uplink.inside
  const asAdmin = (port: number, ca: string): Operator =>
    createOperator({ url: `https://${host}:${port}`, ca, token: world.operator.token })

  const [caller, a] = [await world.boot('caller', 'clients'), await world.boot('a', 'servers')]
  const names = [(await caller.view()).id, (await a.view()).id]
  const load = world.load(caller)
  await load.firstOk

  const other = await startReplica(world)
  t.teardown(() => other.stop())

  await t.test('replicas share the authority, and each has a certificate of its own', async (t) => {
    t.equal(other.announced.pin, controller.pin)
    t.equal(other.announced.ca, controller.ca)
    const [one, two] = [
      await leafOf(host, 8443, controller.ca),
      await leafOf(host, other.port, controller.ca),
    ]
    t.not(one.serialNumber, two.serialNumber)
    t.match(one.subjectAltName, /DNS:mooring\.mooring-system\.svc\b/)
    t.match(
      (await command('pin')).stdout,
      `pin ${controller.pin}\nca secret mooring-system/mooring-authority`,
    )
    const secret = JSON.parse(
      await kubectl('get', 'secret', 'mooring-authority', '-n', 'mooring-system', '-o', 'json'),
    )
    t.equal(Buffer.from(secret.data['ca.crt'], 'base64').toString(), controller.ca)
  })

  await t.test('what was audited at one replica is a line of it, and found at the other', async (t) => {
    const { id } = await asAdmin(other.port, controller.ca).createToken('servers')
    const isIt = ({ action, target }: AuditRecord) => action === 'token.create' && target.endsWith(id)
    t.ok(
      other.lines.some((line) => isIt((JSON.parse(line) as { audit: AuditRecord }).audit ?? { action: '' })),
      'on its standard output',
    )
    await waitFor(async () => (await world.operator.audit()).some(isIt), { what: 'the record at the other' })
  })

  await t.test('a Secret that somebody deletes is put back as it was', async (t) => {
    await kubectl('delete', 'secret', 'mooring-authority', '-n', 'mooring-system')
    const back = await waitFor(
      () =>
        kubectl(
          'get',
          'secret',
          'mooring-authority',
          '-n',
          'mooring-system',
          '-o',
          'jsonpath={.data.ca\\.crt}',
        ),
      { what: 'the Secret' },
    )
    t.equal(Buffer.from(back, 'base64').toString(), controller.ca)
  })

  let pin = ''
  await t.test('a rotation reaches both replicas and every agent, without a restart', async (t) => {
    const pids = [controller.pid, other.pid]
    const rotated = await command('rotate-ca')
    pin = /^pin (sha256:\w+)$/m.exec(rotated.stdout)?.[1] ?? ''
    t.match(rotated.stdout, `pin-before ${controller.pin}`, rotated.stderr)
    for (const port of [8443, other.port]) {
      for (const each of [pin, controller.pin]) {
        await waitFor(() => fetchPinnedAuthority({ host, port, pin: each, signal }).catch(() => undefined), {
          what: `${each} at ${port}`,
        })
      }
      t.ok(await asAdmin(port, controller.ca).vms(), 'old trust alone still serves')
    }
    const again = await command('rotate-ca')
    t.not(again.code, 0)
    t.match(again.stderr, /a rotation lasts already/)
    const ended = await waitFor(
      async () => {
        const result = await command('rotate-ca', '--finish')
        if (result.code !== 0) t.match(result.stderr, /VMs hold a certificate of the old authority/)
        return result.code === 0 && result
      },
      { what: 'all agents to have renewed', limitMs: 240_000, everyMs: 3_000 },
    )
    t.match(ended.stdout, `pin ${pin}`)
    for (const port of [8443, other.port]) {
      await waitFor(
        () =>
          fetchPinnedAuthority({ host, port, pin: controller.pin, signal }).then(
            () => false,
            () => true,
          ),
        { what: `the old pin to be over at ${port}` },
      )
    }
    t.same([controller.pid, other.pid], pids, 'nobody was started anew')
  })

  const ca = await fetchPinnedAuthority({ host, port: 8443, pin, signal })
  const operator = asAdmin(8443, ca)
  await t.test('agents are connected under the new authority, and no request failed', async (t) => {
    // Past the end of every certificate of the old authority: who is connected now has one of the new.
    for (const id of names) {
      const view = await waitFor(
        async () => {
          const now = await operator.vm(id)
          return now.phase === 'ready' && now.connected && now
        },
        { what: `${id} to be connected` },
      )
      t.equal(view.phase, 'ready')
    }
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + 200, { what: 'load after the rotation' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('kubernetes-rotate-ca', summary))
  })

  await t.test('the root of the mesh is not the controller’s to rotate', async (t) => {
    const { code, stderr } = await command('rotate-root')
    t.equal(code, 2)
    t.match(stderr, /where istiod has it from/)
  })

  await t.test('restored into an emptied cluster, agents come back without a new token', async (t) => {
    const file = join(network.tempDir, 'backup.tar.gz')
    const made = await command('backup', '--out', file)
    t.equal(made.code, 0, made.stderr)
    await other.stop()
    await controller.stop()
    await forget('pools.mesh.mooring')
    await forget('virtualmachines.mesh.mooring')
    await kubectl('delete', 'crd', 'pools.mesh.mooring', 'virtualmachines.mesh.mooring', '--timeout=120s')
    await kubectl('delete', 'secrets', '--all', '-n', 'mooring-system')
    for (const kind of [
      'workloadentries',
      'serviceentries',
      'sidecars.networking.istio.io',
      'workloadgroups',
    ]) {
      await kubectl('delete', kind, '--all', '-A')
    }
    await kubectl('delete', 'secrets', '--all', '-n', 'default')
    await rm(controller.dataDir, { recursive: true })
    await mkdir(controller.dataDir, { mode: 0o700 })
    for (const name of ['pools', 'virtualmachines']) {
      await cluster.apply(await readFile(join(definitions, `${name}.yaml`), 'utf8'))
    }
    await kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=90s')

    const restored = await command('restore', file)
    t.match(restored.stdout, /restored \d+ objects/, restored.stderr)
    t.equal((await command('restore', file)).code, 0, 'again, it changes nothing')
    await controller.start()
    t.equal(controller.pin, pin, 'the same authority')
    for (const id of names) {
      await waitFor(
        async () => {
          const view = await operator.vm(id)
          return view.phase === 'ready' && view.connected
        },
        { what: `${id} to be back`, limitMs: 180_000 },
      )
    }
    t.same((await operator.vms()).map(({ id }) => id).toSorted(), names.toSorted(), 'as who they were')
    const answer = await waitFor(
      async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200,
      { what: 'an answer over the mesh' },
    )
    t.ok(answer)
    const records = await operator.audit()
    t.ok(
      records.every(({ action }) => action !== 'token.create'),
      'nobody made a token',
    )
  })

  await t.test('what is there and differs is refused, or set aside first', async (t) => {
    const file = join(network.tempDir, 'later.tar.gz')
    t.equal((await command('backup', '--out', file)).code, 0)
    const { spec } = await operator.pool('servers')
    await operator.applyPool('servers', { ...spec, labels: { ...spec.labels, tier: 'later' } })
    const refused = await command('restore', file)
    t.not(refused.code, 0)
    t.match(refused.stderr, /pools default\/servers; --force replaces/)
    const forced = await command('restore', '--force', file)
    t.match(forced.stdout, /what was there is in .*before-restore-/, forced.stderr)
    await waitFor(async () => (await operator.pool('servers')).spec.labels?.tier === undefined, {
      what: 'the pool as it was, at the controller that runs',
    })
  })
})

/** Another controller over the same cluster, with a folder and a port of its own. */
async function startReplica({ network }: KubernetesWorld) {
  const port = 9443
  const config = parse(await readFile(join(network.hostDir, 'controller.yaml'), 'utf8'))
  const file = join(network.hostDir, 'other.yaml')
  const dataDir = join(network.hostDir, 'other')
  await mkdir(dataDir, { mode: 0o700 })
  const text = JSON.stringify({ ...config, dataDir, listen: `0.0.0.0:${port}`, instance: 'other' })
  await writeFile(file, text)
  const child = network.host.spawn(process.execPath, [main, 'run', '--config', file, '--json'], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = join(network.hostDir, 'other.log')
  child.stderr?.pipe(createWriteStream(log))
  const lines: string[] = []
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => lines.push(line))
  await waitFor(() => lines.length > 0 || child.exitCode !== null, {
    what: 'the other replica',
    limitMs: 120_000,
  })
  const [first] = lines
  if (first === undefined) throw new Error(`it did not start: ${await readFile(log, 'utf8')}`)
  return {
    port,
    pid: child.pid,
    lines,
    announced: JSON.parse(first) as { pin: string; ca: string },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await waitFor(() => child.exitCode !== null || child.signalCode !== null, { what: 'its end' })
    },
  }
}

function leafOf(host: string, port: number, ca: string): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca })
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      const leaf = socket.getPeerX509Certificate()
      socket.destroy()
      if (leaf === undefined) return reject(new Error('it shows no certificate'))
      resolve(leaf)
    })
  })
}
