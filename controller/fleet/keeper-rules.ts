import type { VmRecord } from '../store/records.ts'
import type { SessionFacts } from './session.ts'

/** Why a VM is this replica's to bring to where it should be. */
export type Keeping =
  /** Its stream is here, or was here last. */
  | { readonly by: 'stream' }
  /** Nobody has its stream, and this replica leads; `ownerGoneSince` is 0 where nobody ever had it. */
  | { readonly by: 'lead'; readonly ownerGoneSince: number }
  /** It is admitted here at this moment, and waits for the answer. */
  | { readonly by: 'join' }
  /** It is another replica's; `lookAt`: when it may be this one's although nothing happened. */
  | { readonly by: 'another'; readonly lookAt?: number }

export interface KeeperQuestion {
  readonly record: Pick<VmRecord, 'phase' | 'admittedAt' | 'stream'>
  readonly session: Pick<SessionFacts, 'state'> | undefined
  readonly self: string
  readonly several: boolean
  readonly leads: boolean
  /** When the replica that the record names was last known to run; undefined while it may run. */
  readonly ownerGoneSince: number | undefined
  readonly admitting: boolean
  readonly now: number
}

// The replica that admits a VM writes its entry itself; the lead does so only for one that died in between.
const admissionMs = 5_000

/**
 * Whose a VM is. Pure. There is one at any time: who had its stream last, as the record says, and the lead when that
 * replica is gone. A stream that greets claims the VM by a write of the record, which only one can win.
 */
export function keeperOf(question: KeeperQuestion): Keeping {
  const { record, session, self, several, leads, ownerGoneSince, admitting, now } = question
  const owner = record.stream?.owner
  if (session?.state === 'greeting' || owner === self) return { by: 'stream' }
  if (admitting) return { by: 'join' }
  if (owner !== undefined && ownerGoneSince === undefined) return { by: 'another' }
  if (!leads) return { by: 'another' }
  // Clocks of replicas differ: what is admitted in the future was not admitted just now.
  const isBeingAdmitted = record.phase === 'joining' && Math.abs(now - record.admittedAt) < admissionMs
  if (several && isBeingAdmitted) return { by: 'another', lookAt: record.admittedAt + admissionMs }
  return { by: 'lead', ownerGoneSince: owner === undefined ? 0 : (ownerGoneSince ?? 0) }
}

/**
 * Since when a VM has been expected to speak to its keeper. The window that follows is time to come back: after the
 * death of the replica that had its stream it is counted from that replica's last sign of life, and `lostAfterMs` is
 * part of it, since the VM was heard then.
 */
export function expectedSince(
  keeping: Keeping,
  record: Pick<VmRecord, 'admittedAt'>,
  lostAfterMs: number,
  now: number,
): number {
  const admittedAt = Math.min(record.admittedAt, now)
  return keeping.by === 'lead' ? Math.max(admittedAt, keeping.ownerGoneSince - lostAfterMs) : admittedAt
}
