import type { MooringError } from '../../shared/errors.ts'

/** Bounds of the delay before the next attempt, in milliseconds; it is uniform between them. */
export interface Delay {
  readonly fromMs: number
  readonly toMs: number
}

const baseMs = 200
const longestMs = 30_000
/** What only a person can mend is tried on: it is mended on the controller, and nobody logs in here. */
const slowMs = 300_000
const slowBaseMs = 2_000

/**
 * How long to wait after `failures` attempts in a row (1 or more) of which the last ended with `error`: full
 * jitter under a growing cap, never sooner than the controller asked for.
 */
export function retryDelay(
  error: Pick<MooringError, 'retryable' | 'retryAfterSeconds'>,
  failures: number,
): Delay {
  const [base, longest] = error.retryable ? [baseMs, longestMs] : [slowBaseMs, slowMs]
  const cap = Math.min(longest, base * 2 ** Math.min(Math.max(0, failures - 1), 20))
  const floor = Math.min((error.retryAfterSeconds ?? 0) * 1000, slowMs)
  return { fromMs: floor, toMs: floor + cap }
}

/** A moment within the delay; `random` in [0, 1). */
export function pick({ fromMs, toMs }: Delay, random: number): number {
  return Math.round(fromMs + random * (toMs - fromMs))
}
