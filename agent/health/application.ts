import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { type Judgement, judge, type ProbeResult, unjudged } from './judge.ts'
import { isProbed, type ProbeOnce } from './probes.ts'

/** Watches the application by the pool's probe. */
export interface ApplicationWatch {
  /** Starts anew, at once, with this probe; ends with `signal` or the next `watch`. */
  watch(probe: Bundle['probe'], signal: AbortSignal): void
  judgement(): Judgement
  onChange(listener: (judgement: Judgement) => void): () => void
}

export interface ApplicationWatchDeps {
  readonly probe: ProbeOnce
  readonly clock: Clock
  readonly random?: () => number
}

const defaultPeriodSeconds = 1
const firstRetryMs = 100

/** Probes at once, quickly until the first success, and then every period. */
export function createApplicationWatch({
  probe: once,
  clock,
  random,
}: ApplicationWatchDeps): ApplicationWatch {
  const listeners = new Set<(judgement: Judgement) => void>()
  let current = unjudged
  let running: AbortController | undefined

  const set = (next: Judgement) => {
    const changed = next.verdict !== current.verdict || next.detail !== current.detail
    current = next
    if (changed) for (const listener of listeners) listener(current)
  }

  const follow = async (probe: NonNullable<Bundle['probe']>, signal: AbortSignal): Promise<void> => {
    const periodMs = (probe.periodSeconds ?? defaultPeriodSeconds) * 1000
    const backoff = createBackoff({
      baseMs: firstRetryMs,
      maxMs: Math.max(periodMs, firstRetryMs),
      floorMs: Math.min(periodMs, firstRetryMs),
      ...(random && { random }),
    })
    while (!signal.aborted) {
      const result: ProbeResult = await once(probe, signal)
      set(judge(current, result, probe))
      // A failure in the middle of life is looked at again soon: it decides whether peers are sent elsewhere.
      const settled = current.verdict === 'healthy' && result.ok
      if (settled) backoff.reset()
      await clock.sleep(settled ? periodMs : backoff.next(), signal)
    }
  }

  return {
    watch(probe, signal) {
      running?.abort()
      running = new AbortController()
      const either = AbortSignal.any([signal, running.signal])
      if (!isProbed(probe)) {
        return set({ ...unjudged, verdict: 'healthy', detail: 'the pool has no probe' })
      }
      set(unjudged)
      // Only an abort ends it by an error.
      follow(probe, either).catch(() => {})
    },
    judgement: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
