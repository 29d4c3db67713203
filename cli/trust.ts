import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { MooringError } from '../shared/errors.ts'
import { keyPin } from '../shared/pin.ts'

export interface PinnedOptions {
  readonly host: string
  readonly port: number
  readonly pin: string
  readonly signal: AbortSignal
}

/**
 * The authority (PEM) with the pinned key, out of the chain that the controller shows, as kubeadm's discovery
 * does. Nothing is sent on this connection; whoever uses the result verifies chain and name against it alone.
 */
export function fetchPinnedAuthority(options: PinnedOptions): Promise<string> {
  const { host, port, pin, signal } = options
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    })
    const end = (finish: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      finish()
    }
    const onAbort = () => end(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    socket.once('error', (error) => end(() => reject(error)))
    socket.once('secureConnect', () => {
      const authority = chainOf(socket.getPeerCertificate(true)).find((one) => one.ca && pinOf(one) === pin)
      if (authority !== undefined) return end(() => resolve(authority.toString()))
      const detail = `no authority that ${host}:${port} shows has the key ${pin}`
      end(() => reject(new MooringError('CONTROLLER_UNTRUSTED', { detail })))
    })
  })
}

function pinOf(certificate: X509Certificate): string {
  return keyPin(certificate.publicKey.export({ type: 'spki', format: 'der' }))
}

function chainOf(leaf: DetailedPeerCertificate): readonly X509Certificate[] {
  const seen = new Set<string>()
  const chain: X509Certificate[] = []
  let current: DetailedPeerCertificate | undefined = leaf
  // A self-signed certificate is its own issuer, so the walk has to notice where it has been.
  while (current?.raw !== undefined && !seen.has(current.fingerprint256)) {
    seen.add(current.fingerprint256)
    chain.push(new X509Certificate(current.raw))
    current = current.issuerCertificate
  }
  return chain
}
