import 'reflect-metadata'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  webcrypto,
  X509Certificate,
} from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BasicConstraintsExtension, X509CertificateGenerator } from '@peculiar/x509'
import t from 'tap'
import { authorityFiles, createAuthorityFolder } from '../../../../controller/pki/authority-folder.ts'
import { authorityAlgorithm, pemOf } from '../../../../controller/pki/authority-pair.ts'
import { finishRotation, rotateAuthority } from '../../../../controller/pki/rotation.ts'
import { createServerCertificate } from '../../../../controller/pki/server-certificate.ts'
import { silentLog } from '../../../../shared/log.ts'
import { keyPin } from '../../../../shared/pin.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { folderAuthority } from '../../../fakes/folder-authority.ts'
import { record } from '../fleet/situations.ts'

async function setUp(t: { teardown(fn: () => void): void }) {
  const root = mkdtempSync(join(tmpdir(), 'mooring-rotation-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const clock = createFakeClock()
  const folder = join(root, 'pki')
  const deps = { folder, keep: createAuthorityFolder(folder), clock }
  return { clock, deps, before: await folderAuthority(deps) }
}

const blocks = (pem: string) =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  )
const pinOf = (certificate: X509Certificate) =>
  keyPin(certificate.publicKey.export({ type: 'spki', format: 'der' }))

t.test('both authorities are trusted, the new one signs, and a server shows the way to either', async (t) => {
  const { deps, clock, before } = await setUp(t)
  const pins = await rotateAuthority(deps)
  t.equal(pins.pinBefore, before.pin)
  const after = await folderAuthority(deps)
  t.same([after.pin, after.pinBefore], [pins.pin, before.pin])
  t.not(after.pin, before.pin)
  t.same(blocks(after.trusted).map(pinOf), [after.pin, before.pin])
  t.equal(statSync(join(deps.folder, authorityFiles.before)).mode & 0o777, 0o600)
  const server = await createServerCertificate({
    ...{ folder: deps.folder, authority: after, clock, log: silentLog, hosts: ['127.0.0.1'] },
  })
  const [leaf, successor, old] = blocks(server.current().chain)
  if (leaf === undefined || successor === undefined || old === undefined) return t.fail('three of them')
  t.ok(leaf.verify(successor.publicKey))
  t.ok(successor.verify(old.publicKey), 'the old one vouches for the new one')
  t.same([pinOf(successor), pinOf(old)], [after.pin, before.pin], 'either pin is found')
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'der',
  })
  const chain = await after.signAgent({
    vm: 'vm-1',
    uri: 'spiffe://a/mooring/vm/vm-1',
    spki,
    notAfter: clock.now() + 60_000,
  })
  const [agent, issuer] = blocks(chain)
  t.ok(issuer && agent?.verify(createPublicKey(issuer.publicKey.export({ type: 'spki', format: 'pem' }))))
  t.equal(issuer && pinOf(issuer), after.pin)
})

t.test('one at a time, and it ends when nobody holds a certificate of the old one', async (t) => {
  const { deps, clock, before } = await setUp(t)
  await t.rejects(finishRotation(deps, []), { code: 'NOT_FOUND' })
  const { pin } = await rotateAuthority(deps)
  await t.rejects(rotateAuthority(deps), { code: 'CONFLICT' })
  const vm = (certificateIssuer: string | undefined, phase: 'ready' | 'left' = 'ready') =>
    record({
      phase,
      certificateExpiresAt: clock.now() + 60_000,
      ...(certificateIssuer && { certificateIssuer }),
    })
  await t.rejects(finishRotation(deps, [vm(pin), vm(before.pin)]), { code: 'TOO_EARLY', detail: /^1 VMs/ })
  await t.rejects(finishRotation(deps, [vm(undefined)]), { code: 'TOO_EARLY' }, 'of whom it is not known')
  t.equal((await folderAuthority(deps)).pinBefore, before.pin, 'a refusal changes nothing')
  await finishRotation(deps, [vm(pin), vm(before.pin, 'left')])
  const after = await folderAuthority(deps)
  t.same([after.pin, after.pinBefore, blocks(after.trusted).length], [pin, undefined, 1])
  t.equal(after.shown, after.trusted)
  await rotateAuthority(deps)
})

t.test('certificates that have ended hold nothing up', async (t) => {
  const { deps, clock, before } = await setUp(t)
  await rotateAuthority(deps)
  const ended = record({ phase: 'lost', certificateExpiresAt: clock.now(), certificateIssuer: before.pin })
  t.ok((await finishRotation(deps, [ended])).pin)
})

t.test('a rotation that was cut short counts as none, and can be begun again', async (t) => {
  const { deps, before } = await setUp(t)
  const current = join(deps.folder, authorityFiles.current)
  copyFileSync(current, `${current}.kept`)
  await rotateAuthority(deps)
  // The power went between the two files.
  copyFileSync(`${current}.kept`, current)
  const again = await folderAuthority(deps)
  t.same([again.pin, again.pinBefore, again.trusted], [before.pin, undefined, before.trusted])
  t.equal((await rotateAuthority(deps)).pinBefore, before.pin)
  t.ok(existsSync(join(deps.folder, authorityFiles.before)))
})

t.test('what was never started has nothing to rotate', async (t) => {
  const { clock } = await setUp(t)
  await t.rejects(rotateAuthority({ keep: createAuthorityFolder('/no/such/folder'), clock }), {
    code: 'NOT_FOUND',
  })
})

t.test('an authority that may certify no other is known, and left as it is', async (t) => {
  const { deps, before } = await setUp(t)
  const path = join(deps.folder, authorityFiles.current)
  const keys = await webcrypto.subtle.generateKey(authorityAlgorithm, true, ['sign', 'verify'])
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const keyPem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  })
  const old = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=made by an earlier version',
    keys,
    signingAlgorithm: authorityAlgorithm,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  })
  const text = `${keyPem}${pemOf(old)}`
  writeFileSync(path, text)
  await t.rejects(rotateAuthority(deps), { code: 'CONFLICT', detail: /earlier version.*Put .* aside/ })
  t.equal(readFileSync(path, 'utf8'), text)
  t.notOk(existsSync(join(deps.folder, authorityFiles.before)))
  t.not((await folderAuthority(deps)).pin, before.pin, 'it serves on as it did')
})
