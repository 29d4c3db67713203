import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
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
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { AuthorityKeep, KeptAuthority } from './authority-keep.ts'
import {
  authorityAlgorithm as algorithm,
  makePair,
  pairText,
  pemOf,
  pinOf,
  readAuthority,
  serialNumber,
  authoritySkewMs as skewMs,
} from './authority-pair.ts'

export interface AuthorityDeps {
  readonly keep: AuthorityKeep
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** Ends the wait for where it is kept. */
  readonly signal?: AbortSignal
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

/**
 * The controller's own certificate authority, for agents' certificates and its own. Not the mesh's root. What it says
 * is so at the moment; `follow` tells when that changes.
 */
export interface Authority {
  /** PEM: its certificate, and that of the one before it while a rotation lasts. Who trusts either is served. */
  readonly trusted: string
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
  /** Takes in what others do to it where it is kept, until aborted; one that is deleted there is put back. */
  follow(changed: () => void, signal: AbortSignal): Promise<void>
}

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const

/** What follows from the pairs of an authority. */
interface InForce {
  readonly kept: KeptAuthority
  readonly key: CryptoKey
  readonly certificate: X509Certificate
  readonly trusted: string
  readonly shown: string
  readonly pinBefore: string | undefined
}

/** Loads the authority, or makes it where nobody has. */
export async function createAuthority(deps: AuthorityDeps): Promise<Authority> {
  const { keep, clock, log, random } = deps
  let inForce = await readInForce((await keep.read(deps.signal)) ?? (await first()), keep.place)

  async function first(): Promise<KeptAuthority> {
    const made = { current: pairText(await makePair(clock)) }
    try {
      await keep.write(made, undefined, deps.signal)
      return made
    } catch (error) {
      // Another replica started at the same moment: theirs is the authority of all.
      const theirs = isMooringError(error, 'CONFLICT') ? await keep.read(deps.signal) : undefined
      if (theirs === undefined) throw error
      return theirs
    }
  }

  async function take(kept: KeptAuthority): Promise<boolean> {
    if (kept.current === inForce.kept.current && kept.before === inForce.kept.before) return false
    inForce = await readInForce(kept, keep.place)
    log.warn('the authority has changed', { pin: pinOf(inForce.certificate), pinBefore: inForce.pinBefore })
    return true
  }

  async function putBack(): Promise<void> {
    log.error('the authority was deleted where it is kept, and is put back', { place: keep.place })
    await keep.write(inForce.kept, undefined).catch((error: unknown) => {
      if (!isMooringError(error, 'CONFLICT')) throw error
    })
  }

  async function sign(
    subject: string,
    request: { readonly spki: Uint8Array; readonly notAfter: number },
    extensions: readonly Extension[],
    of: typeof algorithm | typeof rsa = algorithm,
  ): Promise<string> {
    const now = clock.now()
    const { certificate, key, shown } = inForce
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
    return `${pemOf(signed)}${shown}`
  }

  return {
    get trusted() {
      return inForce.trusted
    },
    get shown() {
      return inForce.shown
    },
    get pin() {
      return pinOf(inForce.certificate)
    },
    get pinBefore() {
      return inForce.pinBefore
    },
    // With the issuers as servers show them: a replica that has not heard of a rotation yet trusts the old one alone.
    signAgent: (request) =>
      sign(`CN=${request.vm}`, request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: 'url', value: request.uri }]),
      ]),
    signOperator: (request) =>
      sign(
        `CN=${request.name}`,
        request,
        [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension([{ type: 'url', value: request.uri }]),
        ],
        rsa,
      ),
    signServer: (request) =>
      sign('CN=mooring-controller', request, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([
          ...request.names.map((value) => ({ type: 'dns', value }) as const),
          ...request.addresses.map((value) => ({ type: 'ip', value }) as const),
        ]),
      ]),
    async follow(changed, signal) {
      let last: Promise<void> = Promise.resolve()
      const retry = createBackoff({ baseMs: 500, maxMs: 30_000, random })
      let news = 0
      const digest = async (kept: KeptAuthority | undefined, number: number): Promise<void> => {
        while (!signal.aborted && number === news) {
          try {
            if (kept === undefined) await putBack()
            else if (await take(kept)) changed()
            retry.reset()
            return
          } catch (error) {
            log.error('the authority in its place is not taken over; the one known goes on', {
              error: errorText(error),
            })
            // What cannot be read stays so until it changes.
            if (kept !== undefined) return
            await clock.sleep(retry.next(), signal).catch(() => {})
          }
        }
      }
      await keep.follow((kept) => {
        news += 1
        const number = news
        last = last.then(() => digest(kept, number))
      }, signal)
      await last
    },
  }
}

async function readInForce(kept: KeptAuthority, place: string): Promise<InForce> {
  const { current, before, isRotating } = await readAuthority(kept, place)
  const pem = pemOf(current.certificate)
  return {
    kept,
    key: current.key,
    certificate: current.certificate,
    trusted: isRotating ? `${pem}${pemOf(before.certificate)}` : pem,
    shown: isRotating ? `${pemOf(before.successor)}${pemOf(before.certificate)}` : pem,
    pinBefore: isRotating ? pinOf(before.certificate) : undefined,
  }
}
