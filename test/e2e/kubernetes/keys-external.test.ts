import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import type { CsrSignerSettings } from '../../testbed/apps/csr-signer.ts'
import { call } from '../../world/call.ts'
import { adminGet } from '../../world/envoy-admin.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { echo } from '../../world/world.ts'
import { createKubernetesWorld, type KubernetesWorld } from './controller-scene.ts'

t.setTimeout(15 * 60_000)

const project = resolve(import.meta.dirname, '../../..')
const name = 'cert-manager-istio-csr.cert-manager.svc'
const port = 8444

// istio-csr itself needs cert-manager beside it; the stand-in speaks its protocol, and believes tokens as it does.
t.test('a mesh whose certificates come from beside istiod: VMs have theirs from there', async (t) => {
  const world = await createKubernetesWorld({
    name: 'k8scsr',
    // Certificates live for an hour; this makes pilot-agent renew them when 18 seconds of it are over.
    controller: {
      sidecarEnvironment: { SECRET_GRACE_PERIOD_RATIO: '0.995', SECRET_GRACE_PERIOD_RATIO_JITTER: '0' },
    },
  })
  t.teardown(() => world.close())
  const { network } = world
  const signed = await startService(world)
  await nameInInjection(world)
  const hosts = [`${network.hostAddress} ${name}`]
  const server = await world.boot('a', 'servers', { vm: { hosts } })
  const caller = await world.boot('caller', 'clients', { vm: { hosts } })

  const first = await waitFor(() => certificateOf(server, signed), { what: 'a certificate of the service' })
  t.equal(first.identity, 'spiffe://cluster.local/ns/default/sa/echo')
  await waitFor(() => certificateOf(caller, signed), { what: 'one for the caller' })
  await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
    what: 'an answer over mTLS',
  })
  const next = await waitFor(
    async () => {
      const now = await certificateOf(server, signed)
      return now !== undefined && now.serial !== first.serial && now
    },
    { what: 'it to be renewed there', limitMs: 180_000, everyMs: 1_000 },
  )
  t.equal(next.identity, first.identity)
  t.equal((await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status, 200)
})

/** Starts the stand-in beside the cluster; answers identities by serial number, as it signs. */
async function startService({ network, cluster }: KubernetesWorld): Promise<ReadonlyMap<string, string>> {
  const secret = await cluster.kubectl([
    'get',
    'secret',
    'istio-ca-secret',
    '-n',
    'istio-system',
    '-o',
    'json',
  ])
  const { data } = JSON.parse(secret.stdout) as { data: Record<string, string> }
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString()
  const settings: CsrSignerSettings = {
    ...{ host: network.hostAddress, port, name, root: text('ca-cert.pem'), rootKey: text('ca-key.pem') },
    kubeconfig: cluster.kubeconfig,
  }
  const file = join(network.hostDir, 'csr-signer.json')
  await writeFile(file, JSON.stringify(settings), { mode: 0o600 })
  const script = join(project, 'test/testbed/apps/csr-signer.ts')
  const child = network.host.spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const signed = new Map<string, string>()
  let isListening = false
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const [identity = '', serial] = line.split(' ')
    if (serial === undefined) isListening = true
    else signed.set(serial.toLowerCase().replace(/^0+/, ''), identity)
  })
  await waitFor(() => isListening, { what: 'the certificate service' })
  return signed
}

/** As an installation with `--set global.caAddress=…` leaves it. */
async function nameInInjection({ cluster }: KubernetesWorld): Promise<void> {
  const at = ['configmap', 'istio-sidecar-injector', '-n', 'istio-system']
  const { data } = JSON.parse((await cluster.kubectl(['get', ...at, '-o', 'json'])).stdout)
  const values = JSON.parse(data.values)
  values.global = { ...values.global, caAddress: `${name}:${port}` }
  const patch = JSON.stringify({ data: { values: JSON.stringify(values) } })
  await cluster.kubectl(['patch', ...at, '--type=merge', '-p', patch])
}

/** The certificate that a sidecar uses, if the service signed it. */
async function certificateOf({ vm }: Member, signed: ReadonlyMap<string, string>) {
  const { certificates } = JSON.parse(await adminGet(vm, '/certs')) as {
    certificates: { cert_chain?: { serial_number: string }[] }[]
  }
  for (const { serial_number } of certificates.flatMap(({ cert_chain = [] }) => cert_chain)) {
    const serial = serial_number.toLowerCase().replace(/^0+/, '')
    const identity = signed.get(serial)
    if (identity !== undefined) return { serial, identity }
  }
  return undefined
}
