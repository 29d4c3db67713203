import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import { canonicalAddress } from '../join/address.ts'
import { vmOfSubjectAltName } from '../pki/agent-identity.ts'
import type { ResourceStore } from '../store/resource-store.ts'

/** An agent whose certificate was accepted. */
export interface AgentPeer {
  readonly vm: string
  readonly keyThumbprint: string
  /** Canonical address of the other end. */
  readonly address: string
  /** Unix milliseconds. */
  readonly certificateUntil: number
}

export interface AgentsDeps {
  readonly store: ResourceStore
  readonly clock: Clock
  readonly trustDomain: string
}

/** Recognises agents by the certificate of their connection. */
export interface Agents {
  /** Throws `UNAUTHENTICATED`, or `KEY_REVOKED` for a VM that was removed. */
  authenticate(socket: TLSSocket): Promise<AgentPeer>
}

export function createAgents(deps: AgentsDeps): Agents {
  const { store, clock, trustDomain } = deps
  return {
    async authenticate(socket) {
      // Judged by the handshake against the agents' authority alone; a self-made certificate ends here.
      if (!socket.authorized) throw refused('no certificate of this controller')
      const certificate = socket.getPeerX509Certificate()
      if (certificate === undefined) throw refused('no certificate')
      // Connections live longer than certificates: the handshake's judgement is an old one.
      const certificateUntil = certificate.validToDate.getTime()
      if (certificateUntil <= clock.now()) throw refused('the certificate has ended')
      const vm = vmOfSubjectAltName(trustDomain, certificate.subjectAltName)
      if (vm === undefined) throw refused('the certificate names no VM')
      const record = (await store.get('vm', vm))?.value
      if (record === undefined) throw refused('no such VM')
      const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
      const keyThumbprint = createHash('sha256').update(spki).digest('hex')
      if (keyThumbprint !== record.keyThumbprint) throw refused('the VM has another key')
      // One that drains before it is removed must hear, and say, how far it is: until it left it is still ours.
      if (record.revoked !== undefined && (record.revoked.now || !hasEntry(record.phase))) {
        throw new MooringError('KEY_REVOKED')
      }
      if (!hasEntry(record.phase)) throw refused('the VM has left; it may join again')
      const address = canonicalAddress(socket.remoteAddress ?? '') ?? ''
      return { vm, keyThumbprint, address, certificateUntil }
    },
  }
}

function refused(detail: string): MooringError {
  return new MooringError('UNAUTHENTICATED', { detail })
}
