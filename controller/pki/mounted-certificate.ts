import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { keyPin } from '../../shared/pin.ts'
import { certificatesOf } from './authority-pair.ts'
import type { ServerCertificate, ServerCredentials } from './server-certificate.ts'

export interface MountedCertificateDeps {
  /** Where a Secret of type `kubernetes.io/tls` is mounted, as cert-manager fills it. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

interface Mounted extends ServerCredentials {
  readonly trusted: string
  readonly pin: string
  readonly digest: string
}

const files = { chain: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const
/** The kubelet brings a change within a minute or so; there is no hurry in it. */
const lookMs = 10_000
/** A certificate so near to its end is worth a word: whoever renews it has not. */
const warnMs = 86_400_000

/**
 * A server certificate that somebody else issues and renews. Agents trust it by what is in `ca.crt`, and are told of
 * it at every renewal; who changes that authority has both in `ca.crt` for a time. Throws `CONFIG_INVALID` for one
 * that is of no use at the start; later ones that are not leave the one in force.
 */
export async function createMountedCertificate(deps: MountedCertificateDeps): Promise<ServerCertificate> {
  const { folder, clock, log } = deps
  let mounted = await readMounted(folder, clock.now())
  let fault = ''
  let warnedOf = ''

  async function look(): Promise<boolean> {
    try {
      const found = await readMounted(folder, clock.now())
      fault = ''
      if (found.digest === mounted.digest) return false
      mounted = found
      log.info('another server certificate is mounted', { pin: found.pin })
      return true
    } catch (error) {
      const text = isMooringError(error) ? error.detail : errorText(error)
      if (text !== fault) log.error('the mounted server certificate is of no use', { error: text })
      fault = text ?? ''
      return false
    }
  }

  function warnOfEnd(): void {
    const end = new X509Certificate(mounted.chain).validToDate
    if (warnedOf === mounted.digest || end.getTime() - clock.now() > warnMs) return
    warnedOf = mounted.digest
    log.error('the server certificate is about to end, and nobody has renewed it', { end: end.toISOString() })
  }

  return {
    current: () => mounted,
    trusted: () => mounted.trusted,
    pins: () => ({ pin: mounted.pin, pinBefore: undefined }),
    authorityChanged() {},
    async keepFresh(swap, signal) {
      while (!signal.aborted) {
        await clock.sleep(lookMs, signal)
        if (await look()) swap()
        warnOfEnd()
      }
    },
  }
}

async function readMounted(folder: string, now: number): Promise<Mounted> {
  const [chain, key, ca] = await Promise.all(
    [files.chain, files.key, files.ca].map((name) => read(folder, name)),
  )
  const shown = certificatesOf(chain ?? '')
  const trusted = certificatesOf(ca ?? '')
  const [leaf, ...issuers] = shown.map((pem) => parsed(folder, files.chain, pem))
  const authorities = trusted.map((pem) => parsed(folder, files.ca, pem))
  if (leaf === undefined) throw invalid(folder, `${files.chain} holds no certificate`)
  if (!leaf.checkPrivateKey(privateKey(folder, key ?? ''))) {
    throw invalid(folder, `${files.key} is not the key of ${files.chain}`)
  }
  if (now >= leaf.validToDate.getTime()) throw invalid(folder, `${files.chain} has ended`)
  const last = issuers.at(-1) ?? leaf
  const root = authorities.find((one) => one.ca && (one.raw.equals(last.raw) || issued(one, last)))
  if (root === undefined) throw invalid(folder, `${files.ca} does not hold the issuer of ${files.chain}`)
  const isShown = root.raw.equals(last.raw)
  return {
    key: key ?? '',
    // With its root, so that who has only the pin of that finds it.
    chain: `${shown.join('')}${isShown ? '' : (trusted[authorities.indexOf(root)] ?? '')}`,
    trusted: trusted.join(''),
    pin: keyPin(root.publicKey.export({ type: 'spki', format: 'der' })),
    digest: createHash('sha256')
      .update(JSON.stringify([chain, key, ca]))
      .digest('hex'),
  }
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

async function read(folder: string, name: string): Promise<string> {
  try {
    return await readFile(join(folder, name), 'utf8')
  } catch (error) {
    throw invalid(folder, `${name}: ${errorText(error)}`)
  }
}

function parsed(folder: string, name: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw invalid(folder, `${name} holds something that is no certificate`)
  }
}

function privateKey(folder: string, pem: string) {
  try {
    return createPrivateKey(pem)
  } catch {
    // Its own words could repeat what is in it.
    throw invalid(folder, `${files.key} holds no private key`)
  }
}

function invalid(folder: string, detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `certificates.serverFolder: ${folder}: ${detail}` })
}
