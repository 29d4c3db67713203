import t from 'tap'
import { evictionPolicy, refOf } from '../../../controller/mesh/objects.ts'
import { vmOf } from '../../unit/controller/mesh/sample.ts'
import { call } from '../../world/call.ts'
import { waitFor } from '../../world/waiting.ts'
import { createScene } from './scene.ts'
import { bundleOf, entryOf, virtualAddress, webUrl } from './shop.ts'
import { launchSidecar } from './sidecar.ts'

t.test('two sidecars speak mutual TLS by tokens of the issuer, and nobody else is heard', async (t) => {
  const { network, mesh, addMember } = await createScene(t, 'mesh-mtls')
  const web = await addMember('web-a', 'web')
  const client = await addMember('client-a', 'client')

  const answer = await waitFor(
    async () => {
      const answer = await call(client.vm, webUrl)
      return answer.status === 200 && answer
    },
    { what: 'the first 200' },
  )
  const { instance, clientCert } = JSON.parse(answer.body)
  t.equal(instance, 'web-a')
  t.match(clientCert, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client/)
  t.equal((await call(client.vm, `http://${virtualAddress}/`)).status, 200, 'by its virtual address too')
  const echoed = await client.vm.exec(process.execPath, ['-e', tcpEcho, 'web.shop.internal', '82'])
  t.match(echoed.stdout, 'web-a hello', 'plain TCP, by the name that the sidecar answers for')

  const plain = await network.addVm('outsider')
  for (const port of [8080, 8082, 9999]) {
    t.equal((await call(plain, `http://${web.vm.address}:${port}/`)).status, 0, `in plain text, port ${port}`)
  }

  const other = await addMember('web-b', 'web', '0.0.0.0')
  await waitFor(async () => JSON.parse((await call(client.vm, webUrl)).body).instance === 'web-b', {
    what: 'an answer of the second VM',
  })
  const listeners = async (vm: typeof web) =>
    inboundChains(await vm.sidecar.admin('/config_dump?resource=dynamic_listeners'))
  const chains = await listeners(web)
  t.same(await listeners(other), chains, 'the second VM listens as the first does')
  t.ok(chains.includes('own_8080') && chains.includes('own_8082'), chains.join(' '))

  // Its listeners do not depend on whether peers may call it.
  await mesh.apply(entryOf(other.vm, 'closed'))
  await mesh.taken(refOf(entryOf(other.vm, 'closed')))
  await waitFor(async () => !(await endpoints(client)).includes(`${other.vm.address}:8080`), {
    what: 'the closed endpoint to be gone from the caller',
  })
  t.same(await listeners(other), chains)
  t.notOk(
    (await listeners(client)).some((name) => /_80\d\d$/.test(name)),
    'a caller serves nothing',
  )
})

t.test('an evicted address is denied while its certificate is still valid', async (t) => {
  const { mesh, addMember } = await createScene(t, 'mesh-evicted')
  await addMember('web-a', 'web')
  const evicted = await addMember('client-a', 'client')
  const other = await addMember('client-b', 'client')
  for (const { vm } of [evicted, other]) {
    await waitFor(async () => (await call(vm, webUrl)).status === 200, { what: `a 200 for ${vm.name}` })
  }
  const policy = evictionPolicy(evicted.vm.name, vmOf({ address: evicted.vm.address }))
  await mesh.remove(refOf(entryOf(evicted.vm, 'open', 'client')))
  await mesh.apply(policy)
  await mesh.taken(refOf(policy))
  await waitFor(async () => (await call(evicted.vm, webUrl)).status === 403, { what: 'the denial' })
  t.equal((await call(other.vm, webUrl)).status, 200, 'others are not meant')
  const { address, port } = (await mesh.facts()).istiod
  const dial = (vm: typeof evicted.vm) =>
    vm.exec(process.execPath, ['-e', tlsDial, address, String(port)], { gid: 1337 })
  t.match((await dial(evicted.vm)).stdout, 'refused', 'it gets no further certificate')
  t.match((await dial(other.vm)).stdout, 'shaken')
  await mesh.remove(refOf(policy))
  await mesh.taken(refOf(policy))
  await waitFor(async () => (await call(evicted.vm, webUrl)).status === 200, { what: 'the end of it' })
})

t.test('nobody becomes what no pool declares, nor another than its token says', async (t) => {
  const { network, mesh, version, bundle } = await createScene(t, 'mesh-identity')
  await t.rejects(mesh.mint('shop', 'admin'), { code: 'IDENTITY_NOT_DECLARED' })
  await t.rejects(mesh.mint('istio-system', 'istiod'), { code: 'IDENTITY_NOT_DECLARED' })

  const vm = await network.addVm('liar')
  const facts = await mesh.facts()
  // It has a client's token and says that it is the web server.
  const lie = bundleOf(vm, 'web', facts, await mesh.mint('shop', 'client'))
  const liar = await launchSidecar(vm, lie, version)
  const log = async () => (await vm.exec('cat', [`${vm.root}/sidecar.log`])).stdout
  await waitFor(async () => /PermissionDenied|permission denied|Unauthenticated/i.test(await log()), {
    what: 'the refusal',
    onTimeout: log,
  })
  t.notMatch(await liar.admin('/ready').catch(() => 'no answer'), /^LIVE/)

  // A token of another issuer for a declared identity.
  const honest = await bundle(vm, 'web')
  const [header = '', payload = ''] = honest.token.value.split('.')
  const forged = { ...honest, token: { ...honest.token, value: `${header}.${payload}.${'A'.repeat(342)}` } }
  await vm.killAll()
  await vm.exec('rm', [`${vm.root}/sidecar.log`])
  const forger = await launchSidecar(vm, forged, version)
  await waitFor(async () => /Unauthenticated|authentication failure/i.test(await log()), {
    what: 'the second refusal',
    onTimeout: log,
  })
  t.notMatch(await forger.admin('/ready').catch(() => 'no answer'), /^LIVE/)
})

const tcpEcho = `
const [host, port] = process.argv.slice(1)
const socket = require('node:net').connect({ host, port, timeout: 5000 })
socket.on('connect', () => socket.write('hello\\n'))
socket.on('data', (data) => { console.log(String(data)); process.exit(0) })
socket.on('timeout', () => process.exit(1))
socket.on('error', (error) => { console.log(error.code); process.exit(1) })
`

const tlsDial = `
const [host, port] = process.argv.slice(1)
const socket = require('node:tls').connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
socket.on('secureConnect', () => { console.log('shaken'); process.exit(0) })
socket.on('error', () => { console.log('refused'); process.exit(0) })
`

function inboundChains(dump: string): string[] {
  const { configs } = JSON.parse(dump) as { configs: { name: string; active_state?: ActiveListener }[] }
  const inbound = configs.find(({ name }) => name === 'virtualInbound')?.active_state?.listener
  // Chains of ports are named after the VM's own address.
  return (inbound?.filter_chains ?? []).map(({ name, transport_socket }) => {
    const short = name.replace(/^[\d.]+_/, 'own_')
    return transport_socket === undefined ? `${short} plain` : short
  })
}

interface ActiveListener {
  readonly listener: {
    readonly filter_chains: { readonly name: string; readonly transport_socket?: unknown }[]
  }
}

async function endpoints({
  sidecar,
}: {
  sidecar: { admin(path: string): Promise<string> }
}): Promise<string> {
  return (await sidecar.admin('/clusters'))
    .split('\n')
    .filter((line) => line.startsWith('outbound|80||web.shop.internal'))
    .join('\n')
}
