import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import type { Authority } from './authority.ts'

export interface ServerCertificateDeps {
  /** Holds `server.pem`: key and chain, 0600. */
  readonly folder: string
  readonly authority: Authority
  readonly clock: Clock
  readonly log: Log
  /** DNS names and addresses under which agents and operators reach the controller. */
  readonly hosts: readonly string[]
}

/** Both PEM; `chain` ends with the authority. */
export interface ServerCredentials {
  readonly key: string
  readonly chain: string
}

/** What the listener shows. Two ship: issued by the controller's own authority, and mounted. */
export interface ServerCertificate {
  current(): ServerCredentials
  /** PEM: what agents and operators trust it by. */
  trusted(): string
  /** Pins by which it is trusted: the present one, and while a rotation lasts the one before. */
  pins(): { readonly pin: string; readonly pinBefore: string | undefined }
  /** The controller's authority is another one now. */
  authorityChanged(): void
  /** Renews it before it ends, until aborted; `swap` has to put the current one in force. */
  keepFresh(swap: () => void, signal: AbortSignal): Promise<void>
}

const lifeMs = 90 * 86_400_000
const checkMs = 3_600_000

/** One of the controller's own authority: kept over restarts, made anew when its names or authority change. */
export async function createServerCertificate(deps: ServerCertificateDeps): Promise<ServerCertificate> {
  const { folder, authority, clock, log } = deps
  const file = join(folder, 'server.pem')
  const names = deps.hosts.filter((host) => isIP(host) === 0)
  const addresses = deps.hosts.filter((host) => isIP(host) !== 0)

  async function issue(): Promise<ServerCredentials> {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
    const chain = await authority.signServer({ names, addresses, spki, notAfter: clock.now() + lifeMs })
    await writeAtomic(file, `${key}${chain}`, 0o600)
    log.info('server certificate issued', { names, addresses })
    return { key, chain }
  }

  async function kept(): Promise<ServerCredentials | undefined> {
    try {
      const text = await readFile(file, 'utf8')
      const split = text.indexOf('-----BEGIN CERTIFICATE-----')
      const credentials = { key: text.slice(0, split), chain: text.slice(split) }
      return isFit(credentials) ? credentials : undefined
    } catch (error) {
      // Absent or damaged is the same: nothing is lost with it.
      log.debug('no server certificate to reuse', { error: errorText(error) })
      return undefined
    }
  }

  function isFit({ key, chain }: ServerCredentials): boolean {
    const certificate = new X509Certificate(chain)
    const from = certificate.validFromDate.getTime()
    const to = certificate.validToDate.getTime()
    const shown = (certificate.subjectAltName ?? '').split(', ').filter((name) => name !== '')
    return (
      clock.now() >= from &&
      clock.now() < from + ((to - from) * 2) / 3 &&
      chain.slice(pemEnd(chain)) === authority.shown &&
      certificate.publicKey.equals(createPublicKey(key)) &&
      shown.length === deps.hosts.length &&
      names.every((name) => certificate.checkHost(name) !== undefined) &&
      addresses.every((address) => certificate.checkIP(address) !== undefined)
    )
  }

  let credentials = (await kept()) ?? (await issue())
  let early = new AbortController()
  return {
    current: () => credentials,
    trusted: () => authority.trusted,
    pins: () => ({ pin: authority.pin, pinBefore: authority.pinBefore }),
    authorityChanged: () => early.abort(),
    async keepFresh(swap, signal) {
      while (!signal.aborted) {
        await clock
          .sleep(checkMs, AbortSignal.any([signal, early.signal]))
          .catch(() => signal.throwIfAborted())
        if (early.signal.aborted) early = new AbortController()
        if (isFit(credentials)) continue
        try {
          credentials = await issue()
          swap()
        } catch (error) {
          // A third of its life is left: there will be more tries.
          log.error('the server certificate cannot be renewed', { error: errorText(error) })
        }
      }
    },
  }
}

/** Where the first certificate of a chain ends. */
function pemEnd(chain: string): number {
  const end = '-----END CERTIFICATE-----\n'
  return chain.indexOf(end) + end.length
}
