import type { MeshFacts } from '../mesh/mesh.ts'
import { effectivePool, poolDefaults } from '../mesh/pool-defaults.ts'
import type { DesiredDrain, PoolRecord } from '../store/records.ts'

/** The durations that hold for the VMs of a pool, in milliseconds. */
export interface Terms {
  readonly heartbeatMs: number
  readonly lostAfterMs: number
  readonly graceMs: number
  readonly drainDeadlineMs: number
  readonly quietMs: number
  readonly renewWithinMs: number
  readonly certificateTtlMs: number
}

/** How long after a drain's deadline the agent has to say that it is done: it stops the sidecar meanwhile. */
export const drainSlackMs = 10_000

/** The terms of `pool` in a mesh; of a pool that is gone, the defaults. */
export function termsOf(
  pool: PoolRecord | undefined,
  { certificateTtlSeconds }: Pick<MeshFacts, 'certificateTtlSeconds'>,
): Terms {
  const effective = pool === undefined ? poolDefaults : effectivePool(pool.spec)
  const { liveness, drain, renewWithinSeconds } = effective
  return {
    heartbeatMs: Math.round(liveness.heartbeatSeconds * 1_000),
    lostAfterMs: Math.round(liveness.lostAfterSeconds * 1_000),
    graceMs: Math.round(liveness.graceSeconds * 1_000),
    drainDeadlineMs: Math.round(drain.deadlineSeconds * 1_000),
    quietMs: Math.round(drain.quietSeconds * 1_000),
    renewWithinMs: renewWithinSeconds * 1_000,
    certificateTtlMs: certificateTtlSeconds * 1_000,
  }
}

/** When open requests of a draining VM are cut. */
export function drainDeadline(drain: DesiredDrain, phaseSince: number, terms: Terms): number {
  const ms = drain.deadlineSeconds === undefined ? terms.drainDeadlineMs : drain.deadlineSeconds * 1_000
  return Math.max(drain.requestedAt, phaseSince) + Math.round(ms)
}
