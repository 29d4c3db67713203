import { createBackoff } from '../../shared/backoff.ts'

/** What follows the end of a run. */
export interface RestartDecision {
  /** How long to wait before the next start. */
  readonly delayMs: number
  /** It failed so often in a row that nobody should wait for it. */
  readonly downForGood: boolean
}

export interface RestartPolicy {
  /** Tells that a run ended, or that a start failed (then `livedMs` is 0). */
  ended(livedMs: number): RestartDecision
  /** Tells that the run goes on; true when it has lasted long enough to forget the failures before it. */
  runs(livedMs: number): boolean
}

/** A run this long is a success: the failure after it is the first again. */
export const stableMs = 30_000
/** Failures in a row after which the sidecar counts as down for good. */
export const hopeless = 8

/** The first restart comes at once, since most crashes are single ones; later ones back off. */
export function createRestartPolicy(random?: () => number): RestartPolicy {
  const backoff = createBackoff({ baseMs: 250, maxMs: 10_000, ...(random && { random }) })
  let failures = 0
  const forget = () => {
    failures = 0
    backoff.reset()
  }
  return {
    ended(livedMs) {
      if (livedMs >= stableMs) forget()
      failures += 1
      return { delayMs: failures === 1 ? 0 : backoff.next(), downForGood: failures >= hopeless }
    },
    runs(livedMs) {
      if (livedMs < stableMs) return false
      forget()
      return true
    },
  }
}
