import { createHash, timingSafeEqual } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { OperatorCertificate, OperatorCertificateRequest } from '../../shared/api/operator.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Authority } from '../pki/authority.ts'
import { operatorOfSubjectAltName, operatorUri } from '../pki/operator-identity.ts'
import { makeClientKey, pkcs12 } from '../pki/pkcs12.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { ownRefused } from './operators.ts'
import type { RolePrincipal } from './policy.ts'

export interface OperatorCertificatesDeps {
  readonly store: ResourceStore
  readonly authority: Pick<Authority, 'signOperator'>
  readonly trustDomain: string
  readonly clock: Clock
  /** Whether operators of the controller's own are let in. @defaultValue true */
  readonly admits?: boolean
}

/** Client certificates of operators, beside their tokens and with the same grant; each has one at most. */
export interface OperatorCertificates {
  /** The operator whose certificate the connection showed; undefined without a valid one. */
  authenticate(socket: TLSSocket): Promise<RolePrincipal | undefined>
  /** A new key and certificate; the one before is void. Throws `NOT_FOUND`. */
  issue(name: string, request: OperatorCertificateRequest): Promise<OperatorCertificate>
  /** Makes the certificate void. Throws `NOT_FOUND`. */
  revoke(name: string): Promise<void>
}

export function createOperatorCertificates(deps: OperatorCertificatesDeps): OperatorCertificates {
  const { store, authority, trustDomain, clock, admits = true } = deps

  async function operator(name: string) {
    const stored = await store.get('operator', name)
    if (stored === undefined || stored.value.expiresAt <= clock.now()) {
      throw new MooringError('NOT_FOUND', { detail: `operator ${name}` })
    }
    return stored
  }

  return {
    async authenticate(socket) {
      if (!admits) return undefined
      // Judged by the handshake against the controller's own authority alone.
      if (socket.authorized !== true) return undefined
      const certificate = socket.getPeerX509Certificate()
      // Connections live longer than certificates: the handshake's judgement is an old one.
      if (certificate === undefined || certificate.validToDate.getTime() <= clock.now()) return undefined
      const name = operatorOfSubjectAltName(trustDomain, certificate.subjectAltName)
      const value = name === undefined ? undefined : (await store.get('operator', name))?.value
      if (name === undefined || value?.certificate === undefined) return undefined
      const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
      const shown = Buffer.from(thumbprint(spki), 'hex')
      const known = Buffer.from(value.certificate.thumbprint, 'hex')
      if (shown.length !== known.length || !timingSafeEqual(shown, known)) return undefined
      const expiresAt = Math.min(value.expiresAt, value.certificate.expiresAt)
      if (expiresAt <= clock.now()) return undefined
      const { role, pools, createdAt } = value
      return { by: 'mooring', name, role, pools, createdAt, expiresAt }
    },
    async issue(name, { password, ttlSeconds }) {
      if (!admits) throw new MooringError('FORBIDDEN', { detail: ownRefused })
      const stored = await operator(name)
      const wanted = ttlSeconds === undefined ? stored.value.expiresAt : clock.now() + ttlSeconds * 1000
      // The grant ends as a whole. Certificates know no parts of a second.
      const expiresAt = Math.floor(Math.min(wanted, stored.value.expiresAt) / 1000) * 1000
      const key = await makeClientKey()
      const chain = await authority.signOperator({
        ...{ name, uri: operatorUri(trustDomain, name), spki: key.spki, notAfter: expiresAt },
      })
      const value = { ...stored.value, certificate: { thumbprint: thumbprint(key.spki), expiresAt } }
      await store.commit([{ put: 'operator', name, value, version: stored.version }])
      const bytes = pkcs12({ keyPem: key.pem, chain, password, name: `mooring operator ${name}` })
      return { name, pkcs12: bytes.toString('base64'), expiresAt }
    },
    async revoke(name) {
      const stored = await operator(name)
      const { certificate, ...value } = stored.value
      if (certificate === undefined) {
        throw new MooringError('NOT_FOUND', { detail: `operator ${name} has no certificate` })
      }
      await store.commit([{ put: 'operator', name, value, version: stored.version }])
    },
  }
}

function thumbprint(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}
