import 'reflect-metadata'
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as PeculiarCertificate,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import { keyPin } from '../../shared/pin.ts'
import { writeAtomic } from '../store/atomic-file.ts'

export interface AuthorityDeps {
  /** Folder of its files: `authority.pem` (key and certificate, 0600) and `ca.pem` (certificate, public). */
  readonly folder: string
  readonly clock: Clock
}

export interface AgentCertificateRequest {
  readonly vm: string
  readonly uri: string
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** Unix milliseconds. */
  readonly notAfter: number
}

export interface ServerCertificateRequest {
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  readonly spki: Uint8Array
  readonly notAfter: number
}

/** The controller's own certificate authority, for agents' certificates and its own. Not the mesh's root. */
export interface Authority {
  /** PEM. */
  readonly certificate: string
  /** Path of the certificate, to be given to agents. */
  readonly file: string
  /** `shared/pin.ts` of its key. */
  readonly pin: string
  /** Each answers PEM: the certificate and this authority's own, so that who pins the key finds it. */
  signAgent(request: AgentCertificateRequest): Promise<string>
  signServer(request: ServerCertificateRequest): Promise<string>
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const lifeMs = 10 * 365 * 86_400_000
/** Certificates count from a little before, for clocks that are slow; short ones from a quarter of their life. */
const skewMs = 60 * 60_000

/** Loads the authority, or makes it at the first start. */
export async function createAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { folder, clock } = deps
  const secretFile = join(folder, 'authority.pem')
  const file = join(folder, 'ca.pem')
  const { key, certificate } = (await load(secretFile)) ?? (await make(secretFile, clock))
  const pem = `${certificate.toString('pem')}\n`
  await writeAtomic(file, pem, 0o644)
  const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' })

  async function sign(
    subject: string,
    request: { readonly spki: Uint8Array; readonly notAfter: number },
    extensions: readonly Extension[],
  ): Promise<string> {
    const now = clock.now()
    const publicKey = await webcrypto.subtle.importKey(
      'spki',
      new Uint8Array(request.spki),
      algorithm,
      true,
      ['verify'],
    )
    const signed = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject,
      issuer: certificate.subject,
      // An agent renews at half of the span: it must not be past that on arrival.
      notBefore: new Date(now - Math.min(skewMs, (request.notAfter - now) / 4)),
      notAfter: new Date(Math.min(request.notAfter, certificate.notAfter.getTime())),
      signingAlgorithm: algorithm,
      publicKey,
      signingKey: key,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        ...extensions,
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
      ],
    })
    return `${signed.toString('pem')}\n${pem}`
  }

  return {
    certificate: pem,
    file,
    pin: keyPin(spki),
    signAgent: (request) =>
      sign(`CN=${request.vm}`, request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: 'url', value: request.uri }]),
      ]),
    signServer: (request) =>
      sign('CN=mooring-controller', request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([
          ...request.names.map((value) => ({ type: 'dns', value }) as const),
          ...request.addresses.map((value) => ({ type: 'ip', value }) as const),
        ]),
      ]),
  }
}

interface KeyAndCertificate {
  readonly key: CryptoKey
  readonly certificate: PeculiarCertificate
}

async function load(path: string): Promise<KeyAndCertificate | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(path, error)
  }
  try {
    const [keyBlock = '', certificateBlock = ''] =
      text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
    const der = Buffer.from(keyBlock.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    const key = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
    const certificate = new PeculiarCertificate(certificateBlock)
    // A pair that does not belong together would sign what nobody accepts.
    const own = createPublicKey(keyBlock).export({ type: 'spki', format: 'der' })
    if (!own.equals(Buffer.from(certificate.publicKey.rawData))) {
      throw new MooringError('STORE_UNREADABLE', { detail: 'key and certificate do not belong together' })
    }
    return { key, certificate }
  } catch (error) {
    throw unreadable(path, error)
  }
}

async function make(path: string, clock: Clock): Promise<KeyAndCertificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Mooring controller CA ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(clock.now() - skewMs),
    notAfter: new Date(clock.now() + lifeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const keyBlock = `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join('\n')}\n-----END PRIVATE KEY-----\n`
  await writeAtomic(path, `${keyBlock}${certificate.toString('pem')}\n`, 0o600)
  return { key: keys.privateKey, certificate }
}

/** Positive, and 120 random bits (CA/Browser Forum asks for 64). */
function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`
}

function unreadable(path: string, cause: unknown): MooringError {
  return new MooringError('STORE_UNREADABLE', { detail: `${path}: ${errorText(cause)}`, cause })
}
