import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { ResourceStore, Stored, Write } from './resource-store.ts'

const day = 86_400_000
/** For so long an ended token is told apart from one that never was. */
const tokenMs = day
const operatorMs = 30 * day

export interface Leftovers {
  readonly tokens: readonly Stored<'token'>[]
  readonly operators: readonly Stored<'operator'>[]
  readonly vms: readonly Stored<'vm'>[]
}

/**
 * What is of no use any more. VMs that left are forgotten by the fleet, when their key can no longer come
 * back; here only the oldest go, when there are more than `keepLeft`.
 */
export function sweepWrites(leftovers: Leftovers, keepLeft: number, now: number): Write[] {
  const tokens = leftovers.tokens.filter(({ value }) => value.expiresAt + tokenMs < now)
  const operators = leftovers.operators.filter(({ value }) => value.expiresAt + operatorMs < now)
  // A VM under eviction keeps its address denied; that is not given up for room.
  const left = leftovers.vms
    .filter(({ value }) => value.phase === 'left' && (value.revoked?.evictUntil ?? 0) < now)
    .sort((a, b) => b.value.phaseSince - a.value.phaseSince)
  return [
    ...tokens.map(({ name, version }) => ({ remove: 'token', name, version }) as const),
    ...operators.map(({ name, version }) => ({ remove: 'operator', name, version }) as const),
    ...left.slice(keepLeft).map(({ name, version }) => ({ remove: 'vm', name, version }) as const),
  ]
}

export interface SweepDeps {
  readonly store: ResourceStore
  readonly clock: Clock
  readonly log: Log
  readonly keepLeft: number
  readonly everyMs: number
}

/** Sweeps now and then, until aborted. */
export async function keepSwept(deps: SweepDeps, signal: AbortSignal): Promise<void> {
  const { store, clock, log, keepLeft, everyMs } = deps
  while (!signal.aborted) {
    try {
      const leftovers = {
        tokens: await store.list('token'),
        operators: await store.list('operator'),
        vms: await store.list('vm'),
      }
      const writes = sweepWrites(leftovers, keepLeft, clock.now())
      // One by one: a conflict over one of them must not keep the others.
      for (const write of writes) await store.commit([write])
      if (writes.length > 0) log.info('swept', { count: writes.length })
    } catch (error) {
      log.warn('sweeping failed and is tried again', { error: errorText(error) })
    }
    await clock.sleep(everyMs, signal)
  }
}
