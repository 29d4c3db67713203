import 'reflect-metadata'
import { createHash, webcrypto } from 'node:crypto'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import fc from 'fast-check'
import t from 'tap'
import { readCertificateRequest } from '../../../../controller/pki/certificate-request.ts'

type Algorithms = Parameters<typeof webcrypto.subtle.generateKey>[0]

async function request(algorithm: object, signing: object = algorithm) {
  const keys = (await webcrypto.subtle.generateKey(algorithm as Algorithms, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const made = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=whatever',
    keys,
    signingAlgorithm: signing as typeof p256,
  })
  return { pem: made.toString('pem'), made, keys }
}

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

t.test('a P-256 request gives its key and the key alone', async (t) => {
  const { pem, keys } = await request(p256)
  const read = await readCertificateRequest(pem)
  const spki = Buffer.from(await webcrypto.subtle.exportKey('spki', keys.publicKey))
  t.ok(read.spki.equals(spki))
  t.equal(read.thumbprint, createHash('sha256').update(spki).digest('hex'))
  t.equal(read.publicKey.asymmetricKeyType, 'ec')
})

t.test('other keys are refused', async (t) => {
  const rsa = {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  }
  await t.rejects(readCertificateRequest((await request(rsa)).pem), { code: 'CSR_INVALID', detail: /P-256/ })
  const p384 = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }
  await t.rejects(readCertificateRequest((await request(p384)).pem), { code: 'CSR_INVALID', detail: /P-256/ })
})

t.test('a request signed by another key is refused', async (t) => {
  const { made } = await request(p256)
  const der = Buffer.from(made.rawData)
  // The last bytes are the signature's `s`.
  der.writeUInt8((der.readUInt8(der.length - 1) ^ 1) & 0xff, der.length - 1)
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  await t.rejects(readCertificateRequest(pem), { code: 'CSR_INVALID', detail: /signature/ })
})

t.test('an oversized request is refused before it is read', async (t) => {
  const { pem } = await request(p256)
  await t.rejects(readCertificateRequest(pem + ' '.repeat(5000)), { code: 'CSR_INVALID', detail: /long/ })
})

t.test('two blocks, or something around the block, are refused', async (t) => {
  const { pem } = await request(p256)
  for (const text of [`${pem}\n${pem}`, `x${pem}`, `${pem}\nx`, '', 'CERTIFICATE REQUEST']) {
    await t.rejects(readCertificateRequest(text), { code: 'CSR_INVALID' })
  }
})

t.test('no bytes make it fail in another way', async (t) => {
  const { made } = await request(p256)
  const whole = Buffer.from(made.rawData)
  const spki = Buffer.from(made.publicKey.rawData)
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(whole.length),
      async (at, flip, cut) => {
        const der = Buffer.from(whole)
        der.writeUInt8((der.readUInt8(at) ^ flip) & 0xff, at)
        const text = der.subarray(0, Math.max(cut, 1)).toString('base64')
        const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${text}\n-----END CERTIFICATE REQUEST-----\n`
        return readCertificateRequest(pem).then(
          // Lengths and tags around what is signed may be read leniently: the key and its proof are whole.
          (read) => read.spki.equals(spki),
          (error: { code?: string }) => error.code === 'CSR_INVALID',
        )
      },
    ),
    { numRuns: 200 },
  )
  t.pass('every damaged request is CSR_INVALID, or of the same key all the same')
})
