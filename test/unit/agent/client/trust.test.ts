import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { certificateOfPin, createTrust } from '../../../../agent/client/trust.ts'
import { systemClock as clock } from '../../../../shared/clock.ts'
import { createTestAuthority } from '../../../fakes/authority.ts'
import { createFakeController } from '../../../fakes/stand-in-controller.ts'

const { signal } = new AbortController()
const authority = await createTestAuthority()
const other = await createTestAuthority('Somebody else')
const der = (pem: string) => new X509Certificate(pem).raw

t.test('the certificate with the pinned key is found in a chain', async (t) => {
  const { certificate } = await authority.server()
  const chain = [der(certificate), der(authority.certificate)]
  t.equal(certificateOfPin(authority.pin, chain, 'c').trim(), authority.certificate.trim())
  t.throws(() => certificateOfPin(other.pin, chain, 'c'), { code: 'CONTROLLER_UNTRUSTED' })
  t.throws(() => certificateOfPin(authority.pin, [], 'c'), { code: 'CONTROLLER_UNTRUSTED' })
})

t.test('by pin: the chain is looked at once, and what a join brought is used from then on', async (t) => {
  const controller = await createFakeController({ authority })
  t.teardown(() => controller.close())
  const url = new URL(controller.url)
  const trust = createTrust({ url, config: { pin: authority.pin }, read: async () => undefined, clock })
  t.equal((await trust.authorities(undefined, signal)).trim(), authority.certificate.trim())
  t.same(controller.requests, [], 'nothing was sent')
  t.equal(await trust.authorities('KNOWN', signal), 'KNOWN')
  trust.distrusted()
  const both = await trust.authorities('KNOWN', signal)
  t.ok(both.includes(authority.certificate.trim()) && both.includes('KNOWN'), 'the authority was made anew')
})

t.test('by pin: another controller is refused before anything is sent', async (t) => {
  const controller = await createFakeController({ authority })
  t.teardown(() => controller.close())
  const trust = createTrust({
    url: new URL(controller.url),
    config: { pin: other.pin },
    read: async () => undefined,
    clock,
  })
  await t.rejects(trust.authorities(undefined, signal), { code: 'CONTROLLER_UNTRUSTED' })
  t.same(controller.requests, [])
  await controller.close()
  await t.rejects(trust.authorities(undefined, signal), { code: 'CONTROLLER_UNREACHABLE' })
})

t.test('by file: it is read each time, so that it can be exchanged', async (t) => {
  let file: string | undefined = authority.certificate
  const url = new URL('https://c:8443')
  const trust = createTrust({ url, config: { caFile: '/ca' }, read: async () => file, clock })
  t.equal(await trust.authorities(undefined, signal), authority.certificate)
  t.match(await trust.authorities('KNOWN', signal), /^-----BEGIN[\s\S]*KNOWN$/)
  file = undefined
  await t.rejects(trust.authorities(undefined, signal), { code: 'CONFIG_INVALID', detail: /\/ca/ })
  file = 'no certificate'
  await t.rejects(trust.authorities(undefined, signal), { code: 'CONFIG_INVALID' })
})

t.test('a server that says nothing is not waited for', async (t) => {
  const { createServer } = await import('node:net')
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const { port } = silent.address() as { port: number }
  const url = new URL(`https://127.0.0.1:${port}`)
  const trust = createTrust({
    url,
    config: { pin: authority.pin },
    read: async () => undefined,
    clock,
    timeoutMs: 50,
  })
  await t.rejects(trust.authorities(undefined, signal), { code: 'CONTROLLER_UNREACHABLE' })
})
