/** Capped exponential back-off with full jitter: the delay is uniform between `floorMs` and the growing cap. */
export interface Backoff {
  /** The next delay in milliseconds; each call raises the cap. */
  next(): number
  /** Start over, after a success. */
  reset(): void
  /** How many delays were handed out since the last reset. */
  readonly attempts: number
}

export interface BackoffOptions {
  /** Cap of the first delay. */
  readonly baseMs: number
  /** No delay is longer than this. */
  readonly maxMs: number
  /** No delay is shorter than this. @defaultValue 0 */
  readonly floorMs?: number
  /** Source of randomness in [0, 1). */
  readonly random?: () => number
}

/** Full jitter as in the AWS Architecture Blog's "Exponential Backoff And Jitter": it spreads a herd best. */
export function createBackoff(options: BackoffOptions): Backoff {
  const { baseMs, maxMs, floorMs = 0, random = Math.random } = options
  let attempts = 0
  return {
    next() {
      const cap = Math.min(maxMs, baseMs * 2 ** Math.min(attempts, 30))
      attempts += 1
      return Math.round(floorMs + random() * Math.max(0, cap - floorMs))
    },
    reset() {
      attempts = 0
    },
    get attempts() {
      return attempts
    },
  }
}
