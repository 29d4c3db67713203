import 'reflect-metadata'
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as PeculiarCertificate,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import { keyPin } from '../../shared/pin.ts'
import type { KeptAuthority } from './authority-keep.ts'

/** The key of an authority, and the certificates that show it. */
export interface AuthorityPair {
  readonly key: CryptoKey
  /** PKCS#8, PEM. */
  readonly keyPem: string
  /** Self-signed. */
  readonly certificate: PeculiarCertificate
  /** Of the authority that came after this one, signed by this one; absent while there is none. */
  readonly successor?: PeculiarCertificate
}

export const authorityAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const lifeMs = 10 * 365 * 86_400_000
/** Certificates count from a little before, for clocks that are slow. */
export const authoritySkewMs = 60 * 60_000

/** The pair in a text; `from` says whose it is. Throws `STORE_UNREADABLE`. */
export async function parsePair(text: string, from: string): Promise<AuthorityPair> {
  try {
    const [keyBlock = '', certificateBlock = '', successorBlock] =
      text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
    const der = Buffer.from(keyBlock.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    const key = await webcrypto.subtle.importKey('pkcs8', der, authorityAlgorithm, false, ['sign'])
    const certificate = new PeculiarCertificate(certificateBlock)
    // A pair that does not belong together would sign what nobody accepts.
    const own = createPublicKey(keyBlock).export({ type: 'spki', format: 'der' })
    if (!own.equals(Buffer.from(certificate.publicKey.rawData))) {
      throw new MooringError('STORE_UNREADABLE', { detail: 'key and certificate do not belong together' })
    }
    return {
      key,
      keyPem: `${keyBlock}\n`,
      certificate,
      ...(successorBlock !== undefined && { successor: new PeculiarCertificate(successorBlock) }),
    }
  } catch (error) {
    throw new MooringError('STORE_UNREADABLE', { detail: `${from}: ${errorText(error)}`, cause: error })
  }
}

/** An authority read: `isRotating` while the one before it is trusted too. Throws `STORE_UNREADABLE`. */
export async function readAuthority(
  kept: KeptAuthority,
  from: string,
): Promise<
  | { readonly current: AuthorityPair; readonly isRotating: false; readonly before?: undefined }
  | {
      readonly current: AuthorityPair
      readonly isRotating: true
      readonly before: AuthorityPair & { readonly successor: PeculiarCertificate }
    }
> {
  const current = await parsePair(kept.current, from)
  const before = kept.before === undefined ? undefined : await parsePair(kept.before, from)
  const { successor } = before ?? {}
  // A rotation that was cut short has put the same one aside.
  if (
    before === undefined ||
    successor === undefined ||
    pemOf(before.certificate) === pemOf(current.certificate)
  ) {
    return { current, isRotating: false }
  }
  return { current, isRotating: true, before: { ...before, successor } }
}

/** Every certificate in a text, as PEM with its line end. */
export function certificatesOf(text: string): readonly string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => `${block}\n`)
}

/** A pair as it is kept. */
export function pairText({ keyPem, certificate, successor }: AuthorityPair): string {
  return `${keyPem}${pemOf(certificate)}${successor === undefined ? '' : pemOf(successor)}`
}

/** A new key with its own certificate. */
export async function makePair(clock: Clock): Promise<AuthorityPair> {
  const keys = await webcrypto.subtle.generateKey(authorityAlgorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Mooring controller CA ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(clock.now() - authoritySkewMs),
    notAfter: new Date(clock.now() + lifeMs),
    signingAlgorithm: authorityAlgorithm,
    keys,
    extensions: [
      // One authority may stand below it: the one that comes after it.
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const keyPem = `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join('\n')}\n-----END PRIVATE KEY-----\n`
  return { key: keys.privateKey, keyPem, certificate }
}

/** The successor's key, certified by the authority before it (RFC 4210, 4.4: "new with old"). */
export async function certifySuccessor(
  { key, certificate }: AuthorityPair,
  next: PeculiarCertificate,
  clock: Clock,
): Promise<PeculiarCertificate> {
  return X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: next.subject,
    issuer: certificate.subject,
    notBefore: new Date(clock.now() - authoritySkewMs),
    notAfter: certificate.notAfter,
    signingAlgorithm: authorityAlgorithm,
    publicKey: next.publicKey,
    signingKey: key,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(next.publicKey),
      await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
    ],
  })
}

/** One PEM block, with its line end. */
export function pemOf(certificate: PeculiarCertificate): string {
  return `${certificate.toString('pem')}\n`
}

/** `shared/pin.ts` of the key in a certificate. */
export function pinOf(certificate: PeculiarCertificate): string {
  return keyPin(createPublicKey(pemOf(certificate)).export({ type: 'spki', format: 'der' }))
}

/** Positive, and 120 random bits (CA/Browser Forum asks for 64). */
export function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`
}
