import { hasEntry } from '../../shared/lifecycle.ts'
import type { VmRecord } from '../store/records.ts'
import type { Census } from './guard.ts'
import type { Terms } from './terms.ts'

/** What a replica knows of a VM whose stream another one has. */
export interface RemoteHearing {
  /** As far as the other one wrote. */
  readonly connected: boolean
  /** It was heard then, or later. */
  readonly lastHeard: number
}

// How late a replica's word of a VM that fell silent may be here: its judgement, its write, and the watch.
const lagMs = 3_000

/**
 * Heartbeats stay with the replica that hears them, and it writes when there are none: a VM that still is connected
 * by its record was heard not longer ago than silence may last, and a little.
 */
export function hearElsewhere(
  record: Pick<VmRecord, 'phase' | 'conditions' | 'lastSeenAt'>,
  { lostAfterMs }: Pick<Terms, 'lostAfterMs'>,
  now: number,
): RemoteHearing {
  const condition = record.conditions.find(({ type }) => type === 'Connected')
  const connected = condition?.status === 'True' && hasEntry(record.phase) && record.phase !== 'lost'
  const lastHeard = connected ? Math.max(record.lastSeenAt, now - lostAfterMs - lagMs) : record.lastSeenAt
  return { connected, lastHeard: Math.min(lastHeard, now) }
}

/** How many of the VMs that others keep are silent, as far as they wrote. */
export function censusElsewhere(records: Iterable<VmRecord>, withinMs: number, now: number): Census {
  let total = 0
  let silent = 0
  for (const { phase, phaseSince, conditions } of records) {
    const justLost = phase === 'lost' && now - phaseSince < withinMs
    if (!justLost && phase !== 'joined' && phase !== 'ready' && phase !== 'unhealthy') continue
    total += 1
    const isHeld = conditions.some(({ type, reason }) => type === 'Connected' && reason === 'MassLoss')
    if (justLost || isHeld) silent += 1
  }
  return { total, silent }
}
