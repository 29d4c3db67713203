import { X509Certificate } from 'node:crypto'
import { rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMountedCertificate } from '../../../../controller/pki/mounted-certificate.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { createTestAuthority, type TestAuthority, validFor } from '../../../fakes/authority.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const minute = 60_000

/** A folder as the kubelet mounts a Secret that cert-manager filled. */
async function mounted(t: Test, authority: TestAuthority) {
  const folder = t.testdir()
  const put = async (files: Readonly<Record<string, string>>) => {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  }
  const issue = async (by = authority, ms = 240 * minute) => {
    const { key, certificate } = await by.server({ addresses: ['127.0.0.1'], validity: validFor(ms) })
    await put({ 'tls.crt': certificate, 'tls.key': key, 'ca.crt': by.certificate })
    return certificate
  }
  await issue()
  const clock = createFakeClock(Date.now())
  return { folder, put, issue, clock, deps: { folder, clock, log } }
}

t.test('it is shown with its root, and trusted by that alone', async (t) => {
  const authority = await createTestAuthority()
  const { deps } = await mounted(t, authority)
  const certificate = await createMountedCertificate(deps)
  t.equal(certificate.trusted(), authority.certificate)
  t.same(certificate.pins(), { pin: authority.pin, pinBefore: undefined })
  const { chain } = certificate.current()
  t.ok(chain.endsWith(authority.certificate), 'for who has the pin alone')
  t.ok(new X509Certificate(chain).verify(new X509Certificate(authority.certificate).publicKey))
})

t.test('one that is issued anew is in force without a restart; one that is of no use never', async (t) => {
  const authority = await createTestAuthority()
  const { deps, clock, issue, put } = await mounted(t, authority)
  const certificate = await createMountedCertificate(deps)
  const stop = new AbortController()
  let swaps = 0
  const kept = certificate.keepFresh(() => {
    swaps += 1
  }, stop.signal)
  const first = certificate.current()
  const look = async () => {
    await clock.untilSleeping()
    await clock.advance(10_000)
    await clock.untilSleeping()
  }
  await look()
  t.equal(swaps, 0)
  await put({ 'tls.key': (await authority.server()).key })
  await look()
  t.same([swaps, certificate.current()], [0, first], 'half of a change is none')
  const second = await issue()
  await look()
  t.equal(swaps, 1)
  t.ok(certificate.current().chain.startsWith(second))
  const other = await createTestAuthority('another authority')
  await issue(other)
  await put({ 'ca.crt': `${authority.certificate}${other.certificate}` })
  await look()
  t.equal(swaps, 2)
  t.equal(certificate.pins().pin, other.pin)
  t.ok(certificate.trusted().includes(authority.certificate), 'agents are told of both')
  stop.abort(new Error('stop'))
  await t.rejects(kept, /stop/)
})

t.test('what is of no use at the start says why, and never what is in it', async (t) => {
  const authority = await createTestAuthority()
  const { folder, deps, issue, put } = await mounted(t, authority)
  const refused = async (detail: RegExp) => {
    await t.rejects(createMountedCertificate(deps), { code: 'CONFIG_INVALID', detail }, String(detail))
    await issue()
  }
  await put({ 'ca.crt': '' })
  await refused(/ca\.crt does not hold the issuer/)
  await put({ 'ca.crt': (await createTestAuthority('somebody else')).certificate })
  await refused(/ca\.crt does not hold the issuer/)
  await put({ 'tls.key': (await authority.server()).key })
  await refused(/tls\.key is not the key of tls\.crt/)
  await put({ 'tls.key': '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n' })
  await refused(/tls\.key holds no private key$/)
  await put({ 'tls.crt': 'x' })
  await refused(/tls\.crt holds no certificate/)
  await put({ 'tls.crt': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' })
  await refused(/holds something that is no certificate/)
  await issue(authority, -minute)
  await refused(/tls\.crt has ended/)
  await rm(join(folder, 'ca.crt'))
  await symlink(join(folder, 'nowhere'), join(folder, 'ca.crt'))
  await t.rejects(createMountedCertificate(deps), { code: 'CONFIG_INVALID', detail: /ca\.crt: / })
})
