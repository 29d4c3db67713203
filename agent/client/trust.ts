import { createHash, X509Certificate } from 'node:crypto'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { TrustConfig } from '../config.ts'
import { connectionError } from './tls-error.ts'

/** Whom the agent trusts as the controller. */
export interface Trust {
  /** PEM; `known` is what the controller handed out at the last join. Throws `CONTROLLER_UNTRUSTED`. */
  authorities(known: string | undefined, signal: AbortSignal): Promise<string>
  /** The controller showed a certificate that `authorities` do not cover: the next call looks again. */
  distrusted(): void
}

export interface TrustDeps {
  readonly url: URL
  readonly config: TrustConfig
  /** Reads the CA file; undefined when there is none. */
  readonly read: (path: string) => Promise<string | undefined>
  readonly clock: Clock
  /** @defaultValue 10 s */
  readonly timeoutMs?: number
}

/**
 * Trust by a CA file, or by the pin of a key: the SHA-256 of the SubjectPublicKeyInfo of a certificate in the
 * controller's chain, as `kubeadm join --discovery-token-ca-cert-hash` does it. Nothing is sent before.
 */
export function createTrust(deps: TrustDeps): Trust {
  const { config, url, clock, timeoutMs = 10_000 } = deps
  let pinned: string | undefined
  let isKnownGood = true

  return {
    async authorities(known, signal) {
      if ('caFile' in config) {
        const pem = await deps.read(config.caFile)
        if (pem === undefined || !pem.includes('-----BEGIN CERTIFICATE-----')) {
          throw new MooringError('CONFIG_INVALID', {
            detail: `controller.caFile: there is no certificate in ${config.caFile}`,
          })
        }
        return known === undefined ? pem : `${pem}\n${known}`
      }
      if (known !== undefined && isKnownGood) return known
      pinned ??= await certificateOfPin(config.pin, await shownChain(url, clock, timeoutMs, signal), url.host)
      return known === undefined ? pinned : `${pinned}\n${known}`
    },
    distrusted() {
      isKnownGood = false
      pinned = undefined
    },
  }
}

/** The certificate in `chain` (DER) whose key has this pin, as PEM. Throws `CONTROLLER_UNTRUSTED`. */
export function certificateOfPin(pin: string, chain: readonly Uint8Array[], target: string): string {
  for (const der of chain) {
    const certificate = new X509Certificate(der)
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
    if (`sha256:${createHash('sha256').update(spki).digest('hex')}` === pin) return certificate.toString()
  }
  throw new MooringError('CONTROLLER_UNTRUSTED', {
    detail: `${target}: no key of its ${chain.length} certificates has the pin ${pin}`,
  })
}

/** The chain that a server shows, DER, leaf first. The connection ends with the handshake. */
async function shownChain(
  url: URL,
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const host = url.hostname.replace(/^\[|\]$/g, '')
  try {
    return await new Promise((resolve, reject) => {
      // Nothing is believed of this connection but the certificates, and those only if one has the pin.
      const socket = connect({ host, port: Number(url.port || 443), rejectUnauthorized: false })
      const onAbort = () => socket.destroy(new Error('the handshake took too long'))
      limit.addEventListener('abort', onAbort, { once: true })
      socket.once('error', reject)
      socket.once('close', () => limit.removeEventListener('abort', onAbort))
      socket.once('secureConnect', () => {
        resolve(chainOf(socket.getPeerCertificate(true)))
        socket.destroy()
      })
    })
  } catch (error) {
    signal.throwIfAborted()
    throw connectionError(error, url.host, clock.now())
  }
}

function chainOf(leaf: DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = leaf
  // A self-signed certificate is its own issuer.
  while (certificate?.raw !== undefined && !chain.some((known) => certificate?.raw.equals(known))) {
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}
