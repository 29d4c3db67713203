import { X509Certificate } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMeshRoot } from '../../../../controller/pki/mesh-root.ts'
import { createFakeClock } from '../mesh/standalone/fake-clock.ts'

const day = 86_400_000

function setUp(t: Test) {
  const folder = join(t.testdir(), 'ca')
  const clock = createFakeClock(Date.now())
  const read = (path: string) => readFileSync(join(folder, path), 'utf8')
  return {
    folder,
    clock,
    read,
    open: () => createMeshRoot({ folder, trustDomain: 'example.org', clock }),
    certificate: (path: string) => new X509Certificate(read(path)),
  }
}

t.test('a root that rests and an intermediate that istiod can use', async (t) => {
  const { folder, open, certificate, read } = setUp(t)
  const made = await open()
  t.same(readdirSync(made.istiodFolder).sort(), [
    'ca-cert.pem',
    'ca-key.pem',
    'cert-chain.pem',
    'root-cert.pem',
  ])
  const root = certificate('root/root-cert.pem')
  const intermediate = certificate('istiod/ca-cert.pem')
  t.ok(root.ca && intermediate.ca)
  t.ok(root.verify(root.publicKey))
  t.ok(intermediate.verify(root.publicKey) && intermediate.checkIssued(root))
  t.equal(made.rootCertificates, read('root/root-cert.pem'))
  t.equal(read('istiod/root-cert.pem'), read('root/root-cert.pem'))
  t.equal(read('istiod/cert-chain.pem'), read('istiod/ca-cert.pem') + read('root/root-cert.pem'))
  t.match(root.subject, 'O=example.org')
  const life = Date.parse(root.validTo) - Date.parse(root.validFrom)
  t.ok(Math.abs(life / day - 3650) < 1)
  for (const part of ['root', 'istiod']) {
    for (const name of readdirSync(join(folder, part))) {
      t.equal(statSync(join(folder, part, name)).mode & 0o777, 0o600, name)
    }
  }
  t.notOk(readdirSync(made.istiodFolder).includes('root-key.pem'), 'istiod never has the key of the root')
})

t.test('it is made once, and a crash in the making leaves nothing behind', async (t) => {
  const { folder, open, read } = setUp(t)
  await open()
  const [root, intermediate] = [read('root/root-cert.pem'), read('istiod/ca-cert.pem')]
  mkdirSync(join(folder, '.making-dead'))
  writeFileSync(join(folder, '.making-dead', 'ca-key.pem'), 'half')
  await open()
  t.equal(read('root/root-cert.pem'), root)
  t.equal(read('istiod/ca-cert.pem'), intermediate)
  t.same(readdirSync(folder).sort(), ['istiod', 'root'])

  rmSync(join(folder, 'istiod'), { recursive: true })
  await open()
  t.equal(read('root/root-cert.pem'), root, 'a lost intermediate is made anew under the same root')
  t.not(read('istiod/ca-cert.pem'), intermediate)
})

t.test('the intermediate is renewed in time, and the root stays', async (t) => {
  const { clock, open, certificate, read } = setUp(t)
  const made = await open()
  t.equal(await made.renew(), false)
  const root = read('root/root-cert.pem')
  const before = made.notAfter
  clock.advance(366 * day)
  t.equal(await made.renew(), true)
  t.ok(made.notAfter > before)
  t.equal(await made.renew(), false)
  t.equal(read('root/root-cert.pem'), root)
  t.ok(certificate('istiod/ca-cert.pem').checkIssued(certificate('root/root-cert.pem')))
  t.equal(Math.floor(made.notAfter / 1000) * 1000, Date.parse(certificate('istiod/ca-cert.pem').validTo))
  clock.advance(3000 * day)
  await made.renew()
  t.ok(made.notAfter <= Date.parse(certificate('root/root-cert.pem').validTo) + 1000, 'never beyond the root')
})

t.test('files that do not belong together are refused, not replaced', async (t) => {
  const { folder, open, read } = setUp(t)
  await open()
  writeFileSync(join(folder, 'root', 'root-key.pem'), read('istiod/ca-key.pem'))
  await t.rejects(open(), { code: 'STORE_UNREADABLE', detail: /root/ })
})
