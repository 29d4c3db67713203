import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMeshRoot } from '../../../../controller/pki/mesh-root.ts'
import { trustDigest } from '../../../../controller/pki/mesh-roots.ts'
import { finishRootRotation, rotateRoot } from '../../../../controller/pki/root-rotation.ts'
import type { VmRecord } from '../../../../controller/store/records.ts'
import type { Phase } from '../../../../shared/lifecycle.ts'
import { vmOf } from '../mesh/sample.ts'
import { createFakeClock } from '../mesh/standalone/fake-clock.ts'

const hourSeconds = 3_600

// Six RSA keys, on a machine that may be busy.
t.setTimeout(300_000)

async function setUp(t: Test) {
  const folder = join(t.testdir(), 'ca')
  const clock = createFakeClock(Date.now())
  const deps = { folder, trustDomain: 'example.org', certificateTtlSeconds: hourSeconds, clock }
  const open = () => createMeshRoot({ folder, trustDomain: 'example.org', clock })
  const root = await open()
  await root.served()
  const read = (path: string) => readFileSync(join(folder, path), 'utf8')
  const certificates = (pem: string) =>
    (pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((one) => new X509Certificate(one))
  return { folder, clock, deps, open, root, read, certificates }
}

function vm(trust: string | undefined, phase: Phase = 'ready'): VmRecord {
  return { ...vmOf(), phase, ...(trust !== undefined && { trust }) }
}

t.test('the root is changed in three steps, each of which waits for what came before', async (t) => {
  const { folder, clock, deps, root, read, certificates } = await setUp(t)
  const old = root.rootCertificates
  const oldTrust = trustDigest(old)

  t.match(await rotateRoot(deps, [vm(oldTrust)]), { stage: 'trust' })
  t.equal(root.rootCertificates, old, 'until the controller looks')
  t.equal(await root.renew(), true, 'istiod is to trust both')
  t.equal(await root.renew(), false)
  const both = root.rootCertificates
  t.equal(certificates(both).length, 2)
  t.ok(both.startsWith(old))
  t.equal(read('istiod/root-cert.pem'), both)
  const intermediate = read('istiod/ca-cert.pem')
  t.ok(new X509Certificate(intermediate).checkIssued(new X509Certificate(old)), 'and signs as before')

  await t.rejects(rotateRoot(deps, [vm(trustDigest(both)), vm(oldTrust), vm(undefined)]), {
    code: 'TOO_EARLY',
    detail: '2 VMs do not trust both roots yet',
  })
  const trusting = [vm(trustDigest(both)), vm(oldTrust, 'lost'), vm(oldTrust, 'left')]
  await t.rejects(rotateRoot(deps, trusting), { code: 'TOO_EARLY', detail: /istiod does not trust both/ })
  await root.served()
  await t.rejects(finishRootRotation(deps), { code: 'TOO_EARLY', detail: /rotate-root comes first/ })

  t.match(await rotateRoot(deps, trusting), { stage: 'sign' })
  t.match(await rotateRoot(deps, []), { stage: 'sign' }, 'repeated, it changes nothing')
  await t.rejects(finishRootRotation(deps), { code: 'TOO_EARLY', detail: /does not sign under the new root/ })
  t.equal(await root.renew(), true, 'istiod is to sign under the new root')
  t.equal(root.rootCertificates, both, 'nobody has to be told anything')
  const [, next] = certificates(both)
  const signer = new X509Certificate(read('istiod/ca-cert.pem'))
  t.ok(next !== undefined && signer.checkIssued(next) && signer.verify(next.publicKey))
  await root.served()
  clock.advance(hourSeconds * 1000)
  await t.rejects(finishRootRotation(deps), { code: 'TOO_EARLY', detail: /may be valid until/ })
  clock.advance(5 * 60_000)

  t.same(await finishRootRotation(deps), { stage: 'done', next: 'nothing' })
  t.equal(await root.renew(), true)
  t.equal(root.rootCertificates, next?.toString())
  t.equal(read('istiod/root-cert.pem'), root.rootCertificates)
  t.equal(read('istiod/ca-cert.pem'), signer.toString(), 'with the intermediate that it has')
  await t.rejects(finishRootRotation(deps), { code: 'NOT_FOUND' })
  t.same(readdirSync(folder).sort(), ['istiod', 'root', 'served.json'])
})

t.test('a controller that was down through a step takes it at its start', async (t) => {
  const { clock, deps, root, open } = await setUp(t)
  await rotateRoot(deps, [])
  const second = await open()
  t.not(second.rootCertificates, root.rootCertificates)
  await second.served()
  await rotateRoot(deps, [])
  await (await open()).served()
  clock.advance(2 * hourSeconds * 1000)
  await finishRootRotation(deps)
  const last = await open()
  t.ok(second.rootCertificates.endsWith(last.rootCertificates))
})

t.test('the change of roots may be cut short between its two renames', async (t) => {
  const { folder, deps, root, open, certificates } = await setUp(t)
  await rotateRoot(deps, [])
  await root.renew()
  const both = root.rootCertificates
  renameSync(join(folder, 'root'), join(folder, 'root-before'))
  const after = await open()
  t.equal(after.rootCertificates, both)
  t.notOk(existsSync(join(folder, 'root-next')))
  const [, next] = certificates(both)
  const signer = new X509Certificate(readFileSync(join(after.istiodFolder, 'ca-cert.pem')))
  t.ok(next !== undefined && signer.checkIssued(next))
  t.match(await rotateRoot(deps, []), { stage: 'sign' })
})

t.test('what is noted as served counts from the first time, also over a restart', async (t) => {
  const { clock, read, root, open } = await setUp(t)
  const first = read('served.json')
  clock.advance(1_000)
  await root.served()
  await (await open()).served()
  t.equal(read('served.json'), first)
})
