import type { Clock } from '../../shared/clock.ts'
import type { Notify } from './notify.ts'

/** Tells systemd that this program lives, for as long as its work goes on. */
export interface SignOfLife {
  /** The work made progress. */
  mark(): void
  /** While this work lasts, it must show progress. */
  during<T>(work: Promise<T>): Promise<T>
  /** Until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export interface SignOfLifeDeps {
  readonly notify: Notify
  /** Undefined: nobody waits for a sign. */
  readonly watchdogMs: number | undefined
  /** Aborts when the program was asked to end; from then on it asks for time. */
  readonly stop: AbortSignal
  readonly clock: Clock
}

/** Longest that one look at everything takes, a sidecar fetched over a slow line included. */
const patienceMs = 20 * 60_000
const stoppingTickMs = 10_000
const extensionMs = 60_000

/**
 * A timer alone would tell that the process runs, not that it works: so the sign stops when the work stands still,
 * and systemd starts the program anew, from the state that is on disk.
 */
export function createSignOfLife({ notify, watchdogMs, stop, clock }: SignOfLifeDeps): SignOfLife {
  let works = 0
  let markedAt = clock.now()
  const mark = () => {
    markedAt = clock.now()
  }
  const isAlive = () => works === 0 || clock.now() - markedAt < patienceMs
  // Twice in a period, as sd_watchdog_enabled(3) advises, and one to spare.
  const tickMs = watchdogMs === undefined ? undefined : Math.max(100, watchdogMs / 3)

  return {
    mark,
    async during(work) {
      works += 1
      mark()
      try {
        return await work
      } finally {
        works -= 1
      }
    },
    async run(signal) {
      const onStop = () => {
        notify.stopping()
        notify.extend(extensionMs)
      }
      stop.addEventListener('abort', onStop, { once: true })
      try {
        while (!signal.aborted) {
          if (stop.aborted) notify.extend(extensionMs)
          else if (tickMs !== undefined && isAlive()) notify.alive()
          const pause = Math.min(tickMs ?? stoppingTickMs, stoppingTickMs)
          await clock.sleep(pause, signal).catch(() => {})
        }
      } finally {
        stop.removeEventListener('abort', onStop)
      }
    },
  }
}
