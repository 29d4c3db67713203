import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { join } from 'node:path'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { Clock } from '../../shared/clock.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import {
  authorityAlgorithm as algorithm,
  makePair,
  pairText,
  pemOf,
  pinOf,
  readPair,
  serialNumber,
  authoritySkewMs as skewMs,
} from './authority-pair.ts'

export interface AuthorityDeps {
  /** Folder of its files; see `authorityFiles`. */
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

export interface OperatorCertificateRequest {
  readonly name: string
  readonly uri: string
  /** SubjectPublicKeyInfo of an RSA key, DER. */
  readonly spki: Uint8Array
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
  /** PEM: its certificate, and that of the one before it while a rotation lasts. Who trusts either is served. */
  readonly trusted: string
  /** Path of `trusted`, to be given to agents. */
  readonly file: string
  /** `shared/pin.ts` of its key. */
  readonly pin: string
  /** The pin of the authority before it, while a rotation lasts. */
  readonly pinBefore: string | undefined
  /** PEM: what a server shows after its own certificate, so that whoever trusts or pins either key finds it. */
  readonly shown: string
  /** Each answers PEM: the certificate and its issuers. */
  signAgent(request: AgentCertificateRequest): Promise<string>
  signOperator(request: OperatorCertificateRequest): Promise<string>
  signServer(request: ServerCertificateRequest): Promise<string>
}

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const

/** Keys and certificates, 0600; `trusted` alone is public. `before`: the authority that a rotation replaced. */
export const authorityFiles = {
  current: 'authority.pem',
  before: 'authority-before.pem',
  trusted: 'ca.pem',
} as const

/** Loads the authority, or makes it at the first start. */
export async function createAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { folder, clock } = deps
  const file = join(folder, authorityFiles.trusted)
  const { key, certificate } = (await readPair(join(folder, authorityFiles.current))) ?? (await first())
  const pem = pemOf(certificate)
  const before = await readPair(join(folder, authorityFiles.before))
  // A rotation that was cut short has put the same one aside.
  const isRotating = before?.successor !== undefined && pemOf(before.certificate) !== pem
  const trusted = isRotating ? `${pem}${pemOf(before.certificate)}` : pem
  const shown = isRotating ? `${pemOf(before.successor)}${pemOf(before.certificate)}` : pem
  await writeAtomic(file, trusted, 0o644)

  async function first() {
    const made = await makePair(clock)
    await writeAtomic(join(folder, authorityFiles.current), pairText(made), 0o600)
    return made
  }

  async function sign(
    subject: string,
    request: { readonly spki: Uint8Array; readonly notAfter: number },
    extensions: readonly Extension[],
    of: typeof algorithm | typeof rsa = algorithm,
  ): Promise<string> {
    const now = clock.now()
    const publicKey = await webcrypto.subtle.importKey('spki', new Uint8Array(request.spki), of, true, [
      'verify',
    ])
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
    return pemOf(signed)
  }

  return {
    ...{ trusted, file, shown },
    pin: pinOf(certificate),
    pinBefore: isRotating ? pinOf(before.certificate) : undefined,
    signAgent: async (request) =>
      `${await sign(`CN=${request.vm}`, request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: 'url', value: request.uri }]),
      ])}${pem}`,
    signOperator: async (request) =>
      `${await sign(
        `CN=${request.name}`,
        request,
        [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension([{ type: 'url', value: request.uri }]),
        ],
        rsa,
      )}${pem}`,
    signServer: async (request) =>
      `${await sign('CN=mooring-controller', request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([
          ...request.names.map((value) => ({ type: 'dns', value }) as const),
          ...request.addresses.map((value) => ({ type: 'ip', value }) as const),
        ]),
      ])}${shown}`,
  }
}
