import type { Stored } from '../store/resource-store.ts'
import type { Refusal } from './refusal.ts'

export interface RenewQuestion {
  /** The VM with the joiner's key. */
  readonly own: Stored<'vm'> | undefined
  /** Which VM the joiner says it is. */
  readonly claimed: string
  readonly pool: string
  /** Last time that the controller heard it; 0 when it has not since its start. */
  readonly lastHeard: number
  readonly renewWithinSeconds: number
  readonly now: number
}

/** Whether the key is that of the VM it claims to be. */
export function isKnownKey({ own, claimed, pool }: RenewQuestion): boolean {
  return own !== undefined && own.name === claimed && own.value.pool === pool
}

/** Why a VM may not come back by its key alone. */
export function judgeRenew(question: RenewQuestion): Refusal | undefined {
  const { own, lastHeard, renewWithinSeconds, now } = question
  if (own === undefined || !isKnownKey(question)) return { code: 'KEY_UNKNOWN' }
  const seen = Math.max(own.value.lastSeenAt, own.value.admittedAt, lastHeard)
  if (now - seen > renewWithinSeconds * 1000) {
    return { code: 'RENEW_TOO_LATE', detail: `last seen ${new Date(seen).toISOString()}` }
  }
  return undefined
}
