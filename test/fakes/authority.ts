import 'reflect-metadata'
import { createHash, webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const crypto = webcrypto as Crypto

export interface Validity {
  readonly from: Date
  readonly until: Date
}

/** Key and certificate, PEM. */
export interface Pair {
  readonly key: string
  readonly certificate: string
}

/** A certificate authority for tests: it signs whatever it is told to. */
export interface TestAuthority {
  /** PEM. */
  readonly certificate: string
  /** `sha256:<hex>` of its key, as agents are given it. */
  readonly pin: string
  server(options?: { readonly addresses?: readonly string[]; readonly validity?: Validity }): Promise<Pair>
  /** A client certificate for the key of a certificate request. */
  client(csr: string, uri: string, validity?: Validity): Promise<string>
}

const hourMs = 3_600_000

export function validFor(ms: number, from = Date.now() - hourMs): Validity {
  return { from: new Date(from), until: new Date(from + hourMs + ms) }
}

export async function createTestAuthority(name = 'Test controller'): Promise<TestAuthority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  let serial = 1
  const own = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    serialNumber: '01',
    notBefore: new Date(Date.now() - 24 * hourMs),
    notAfter: new Date(Date.now() + 240 * hourMs),
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  })
  const spki = Buffer.from(own.publicKey.rawData)

  async function sign(publicKey: CryptoKey, extensions: Extension[], validity: Validity): Promise<string> {
    serial += 1
    const certificate = await X509CertificateGenerator.create({
      subject: '',
      issuer: own.subject,
      publicKey,
      signingKey: keys.privateKey,
      serialNumber: serial.toString(16).padStart(4, '0'),
      notBefore: validity.from,
      notAfter: validity.until,
      signingAlgorithm: algorithm,
      extensions,
    })
    return `${certificate.toString('pem')}\n`
  }

  return {
    certificate: `${own.toString('pem')}\n`,
    pin: `sha256:${createHash('sha256').update(spki).digest('hex')}`,
    async server({ addresses = ['127.0.0.1'], validity = validFor(hourMs) } = {}) {
      const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const names = addresses.map((value) => ({ type: 'ip' as const, value }))
      const certificate = await sign(pair.publicKey, [new SubjectAlternativeNameExtension(names)], validity)
      return { key: await keyPem(pair.privateKey), certificate }
    },
    async client(csr, uri, validity = validFor(hourMs)) {
      const request = new Pkcs10CertificateRequest(csr)
      const publicKey = await request.publicKey.export(algorithm, ['verify'], crypto)
      return sign(publicKey, [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }])], validity)
    },
  }
}

async function keyPem(key: CryptoKey): Promise<string> {
  const bytes = Buffer.from(await crypto.subtle.exportKey('pkcs8', key))
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}
