import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

/** Key and certificate, PEM. */
export interface KeyPair {
  readonly key: string
  readonly certificate: string
}

export interface CertificateRequest {
  readonly commonName: string
  /** What Kubernetes takes for the groups of a user. */
  readonly organizations?: readonly string[]
  /** When it ends. @defaultValue later than every testbed */
  readonly notAfter?: Date
  /** Names and addresses of a server. */
  readonly hosts?: readonly string[]
}

/** The certificate authority of a cluster: of its API server, and of users who come with a certificate. */
export interface Authority extends KeyPair {
  issue(request: CertificateRequest): Promise<KeyPair>
}

const crypto = webcrypto as Crypto
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000

/** Makes a new authority, with certificates that outlive every testbed. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await makeKeys()
  const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + 365 * dayMs) }
  const own = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    serialNumber: '01',
    ...validity,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  let serial = 1

  async function issue(request: CertificateRequest): Promise<KeyPair> {
    const mine = await makeKeys()
    const { organizations = [], hosts = [] } = request
    serial++
    const certificate = await X509CertificateGenerator.create({
      subject: [...organizations.map((name) => ({ O: [name] })), { CN: [request.commonName] }],
      issuer: own.subject,
      publicKey: mine.publicKey,
      signingKey: keys.privateKey,
      serialNumber: serial.toString(16).padStart(4, '0'),
      ...validity,
      ...(request.notAfter !== undefined && { notAfter: request.notAfter }),
      signingAlgorithm: algorithm,
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        ...(hosts.length === 0 ? [] : [new SubjectAlternativeNameExtension(hosts.map(alternativeName))]),
      ],
    })
    return { key: await toPem(mine.privateKey), certificate: `${certificate.toString('pem')}\n` }
  }

  return { key: await toPem(keys.privateKey), certificate: `${own.toString('pem')}\n`, issue }
}

function alternativeName(value: string): { type: 'ip' | 'dns'; value: string } {
  return { type: isIP(value) === 0 ? 'dns' : 'ip', value }
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  const lines = Buffer.from(await crypto.subtle.exportKey('pkcs8', key))
    .toString('base64')
    .replace(/.{64}/g, '$&\n')
    .trimEnd()
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
}
