import type { Clock } from '../../shared/clock.ts'

/** How many joins in a second istiod can take. */
export interface Rate {
  /** Takes a turn; how long it is until that is due, in milliseconds. */
  reserve(): number
  /** How long the next one would wait. */
  waitMs(): number
  /** When one that does not wait should come back: each call is told a later time than the one before. */
  retryMs(): number
}

export interface RateDeps {
  readonly clock: Clock
  /** May change: the replicas of a controller share what istiod takes. */
  readonly perSecond: () => number
}

// So much of a quiet time is made up for at once.
const burstMs = 1_000

/** As many as istiod takes new sidecars on so many cores (istio pilot/pkg/features/tuning.go, RequestLimit). */
export function istiodPerSecond(cores: number): number {
  return Math.min(15 + 5 * Math.max(1, Math.floor(cores)), 100)
}

/** The generic cell rate algorithm: instead of a bucket, the moment at which the next turn is due. */
export function createRate({ clock, perSecond }: RateDeps): Rate {
  let due = Number.NEGATIVE_INFINITY
  let retryDue = Number.NEGATIVE_INFINITY

  const next = (now: number) => Math.max(due, now - burstMs)
  const spacing = () => 1_000 / perSecond()

  return {
    reserve() {
      const now = clock.now()
      const at = next(now)
      due = at + spacing()
      return Math.max(0, at - now)
    },
    waitMs() {
      const now = clock.now()
      return Math.max(0, next(now) - now)
    },
    retryMs() {
      const now = clock.now()
      retryDue = Math.max(retryDue, next(now)) + spacing()
      return Math.max(0, retryDue - now)
    },
  }
}

/** No limit. */
export const unlimited: Rate = { reserve: () => 0, waitMs: () => 0, retryMs: () => 0 }
