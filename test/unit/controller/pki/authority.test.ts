import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { agentUri, vmOfSubjectAltName } from '../../../../controller/pki/agent-identity.ts'
import { createServerCertificate } from '../../../../controller/pki/server-certificate.ts'
import { writeTrustFile } from '../../../../controller/pki/trust-file.ts'
import { silentLog } from '../../../../shared/log.ts'
import { keyPin } from '../../../../shared/pin.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { folderAuthority } from '../../../fakes/folder-authority.ts'

const day = 86_400_000

function folder(t: { teardown(fn: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'mooring-pki-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return join(path, 'pki')
}

const spki = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' })

t.test('the first start makes an authority, later ones load it', async (t) => {
  const path = folder(t)
  const clock = createFakeClock()
  const first = await folderAuthority({ folder: path, clock })
  const second = await folderAuthority({ folder: path, clock })
  t.equal(first.trusted, second.trusted)
  t.equal(first.pin, second.pin)
  t.equal(statSync(join(path, 'authority.pem')).mode & 0o777, 0o600)
  t.equal(statSync(path).mode & 0o777, 0o700)
  t.equal(readFileSync(await writeTrustFile(path, first.trusted), 'utf8'), first.trusted)
  t.notMatch(first.trusted, /PRIVATE/)
  const ca = new X509Certificate(first.trusted)
  t.ok(ca.ca)
  t.equal(first.pin, keyPin(ca.publicKey.export({ type: 'spki', format: 'der' })))
})

t.test('an agent certificate carries the VM, is for clients only and comes with its issuer', async (t) => {
  const clock = createFakeClock()
  const authority = await folderAuthority({ folder: folder(t), clock })
  const key = spki()
  const uri = agentUri('cluster.local', 'vm-1')
  const chain = await authority.signAgent({ vm: 'vm-1', uri, spki: key, notAfter: clock.now() + day })
  const certificate = new X509Certificate(chain)
  const ca = new X509Certificate(authority.trusted)
  t.ok(certificate.verify(ca.publicKey))
  t.ok(certificate.checkIssued(ca))
  t.equal(vmOfSubjectAltName('cluster.local', certificate.subjectAltName), 'vm-1')
  t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  t.notOk(certificate.ca)
  t.ok(certificate.publicKey.equals(createPublicKey({ key, format: 'der', type: 'spki' })))
  t.equal(certificate.validToDate.getTime(), clock.now() + day)
  t.ok(certificate.validFromDate.getTime() < clock.now(), 'counts from a little before')
  t.ok(chain.endsWith(authority.trusted))
  const short = new X509Certificate(
    await authority.signAgent({ vm: 'vm-1', uri, spki: key, notAfter: clock.now() + 60_000 }),
  )
  t.ok((short.validFromDate.getTime() + short.validToDate.getTime()) / 2 > clock.now() + 20_000)
  const other = await authority.signAgent({ vm: 'vm-1', uri, spki: key, notAfter: clock.now() + day })
  t.not(new X509Certificate(other).serialNumber, certificate.serialNumber)
})

t.test('no certificate outlives the authority', async (t) => {
  const clock = createFakeClock()
  const authority = await folderAuthority({ folder: folder(t), clock })
  const chain = await authority.signAgent({
    vm: 'vm-1',
    uri: agentUri('a', 'vm-1'),
    spki: spki(),
    notAfter: clock.now() + 100 * 365 * day,
  })
  t.equal(
    new X509Certificate(chain).validToDate.getTime(),
    new X509Certificate(authority.trusted).validToDate.getTime(),
  )
})

t.test('a damaged authority is refused, never replaced', async (t) => {
  const path = folder(t)
  const clock = createFakeClock()
  await folderAuthority({ folder: path, clock })
  const file = join(path, 'authority.pem')
  const whole = readFileSync(file, 'utf8')
  writeFileSync(file, whole.slice(0, 300))
  await t.rejects(folderAuthority({ folder: path, clock }), { code: 'STORE_UNREADABLE' })
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  writeFileSync(
    file,
    foreign.export({ type: 'pkcs8', format: 'pem' }) + whole.slice(whole.indexOf('-----BEGIN CERT')),
  )
  await t.rejects(folderAuthority({ folder: path, clock }), { code: 'STORE_UNREADABLE', detail: /belong/ })
})

t.test('subjectAltNames that are not exactly one agent are nobody', async (t) => {
  for (const name of [
    undefined,
    '',
    'DNS:vm-1',
    'URI:spiffe://other/mooring/vm/vm-1',
    'URI:spiffe://a/mooring/vm/vm-1, DNS:x',
    'URI:spiffe://a/mooring/vm/',
    'URI:spiffe://a/mooring/vm/../x',
    'URI:spiffe://a/ns/default/sa/x',
  ]) {
    t.equal(vmOfSubjectAltName('a', name), undefined, String(name))
  }
})

t.test('the server certificate is kept while it fits, and made anew when it does not', async (t) => {
  const path = folder(t)
  const clock = createFakeClock()
  const authority = await folderAuthority({ folder: path, clock })
  const make = (hosts: string[]) =>
    createServerCertificate({ folder: path, authority, clock, log: silentLog, hosts })
  const hosts = ['controller.example', '10.0.0.1', 'fd00::1']
  const first = (await make(hosts)).current()
  const certificate = new X509Certificate(first.chain)
  t.ok(certificate.checkHost('controller.example'))
  t.ok(certificate.checkIP('10.0.0.1'))
  t.ok(certificate.checkIP('fd00::1'))
  t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  t.equal(statSync(join(path, 'server.pem')).mode & 0o777, 0o600)
  t.same((await make(hosts)).current(), first, 'kept over a restart')
  const wider = (await make([...hosts, '10.0.0.2'])).current()
  t.not(wider.chain, first.chain, 'another name')
  const narrower = (await make(hosts)).current()
  t.notOk(new X509Certificate(narrower.chain).checkIP('10.0.0.2'), 'a name less')
  writeFileSync(join(path, 'server.pem'), 'half a file')
  t.ok((await make(hosts)).current().chain, 'damaged')
  await clock.advance(70 * day)
  t.not((await make(hosts)).current().chain, narrower.chain, 'past two thirds of its life')
})

t.test('a running server gets a new certificate before the old one ends', async (t) => {
  const path = folder(t)
  const clock = createFakeClock()
  const authority = await folderAuthority({ folder: path, clock })
  const server = await createServerCertificate({
    folder: path,
    authority,
    clock,
    log: silentLog,
    hosts: ['a'],
  })
  const before = server.current()
  const stop = new AbortController()
  const swapped: string[] = []
  const kept = server.keepFresh(() => void swapped.push(server.current().chain), stop.signal)
  await clock.untilSleeping()
  await clock.advance(59 * day)
  t.same(swapped, [])
  while (swapped.length === 0) {
    await clock.advance(3_600_000)
    await clock.untilSleeping()
  }
  t.ok(clock.now() < new X509Certificate(before.chain).validToDate.getTime() - 20 * day)
  const data = Buffer.from('x')
  const signature = sign('sha256', data, createPrivateKey(server.current().key))
  t.ok(signature.length > 0 && swapped[0] === server.current().chain)
  stop.abort(new Error('stop'))
  await t.rejects(kept, /stop/)
})
