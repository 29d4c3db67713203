import { execFile } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { promisify } from 'node:util'
import t from 'tap'
import { makeClientKey, pkcs12 } from '../../../../controller/pki/pkcs12.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { folderAuthority } from '../../../fakes/folder-authority.ts'

const run = promisify(execFile)
const password = 'correct horse ü'

// An RSA key, on a machine that may be busy.
t.setTimeout(300_000)

t.test('OpenSSL and Node read what is written, with the right password alone', async (t) => {
  const dir = t.testdir()
  const clock = createFakeClock(Date.now())
  const authority = await folderAuthority({ folder: join(dir, 'pki'), clock })
  const key = await makeClientKey()
  const uri = 'spiffe://cluster.local/mooring/operator/ann'
  const chain = await authority.signOperator({
    ...{ name: 'ann', uri, spki: key.spki, notAfter: clock.now() + 3_600_000 },
  })
  const bytes = pkcs12({ keyPem: key.pem, chain, password, name: 'mooring operator ann' })
  const [file, right, wrong] = ['ann.p12', 'right', 'wrong'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(file, bytes)
  writeFileSync(right, password)
  writeFileSync(wrong, 'something else')
  const openssl = (pass: string, ...more: string[]) =>
    run('openssl', ['pkcs12', '-in', file, '-passin', `file:${pass}`, '-nodes', ...more])
  const { stdout } = await openssl(right)
  t.match(stdout, 'friendlyName: mooring operator ann')
  const certificates = (stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  )
  const [own, issuer] = certificates
  if (own === undefined || issuer === undefined) return t.fail('a certificate and its issuer')
  t.equal(own.subjectAltName, `URI:${uri}`)
  t.ok(own.verify(issuer.publicKey), 'with its signature as it was')
  t.equal(issuer.toString(), authority.trusted)
  t.ok(own.checkPrivateKey(createPrivateKey(stdout.slice(stdout.indexOf('-----BEGIN PRIVATE KEY')))))
  t.match(await openssl(wrong).catch((error: { stderr: string }) => error.stderr), /invalid password/i)
  t.ok(createSecureContext({ pfx: bytes, passphrase: password }))
  t.throws(() => createSecureContext({ pfx: bytes, passphrase: 'something else' }), /mac verify failure/i)
})
