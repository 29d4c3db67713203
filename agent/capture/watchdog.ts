import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Supervisor } from '../sidecar/supervisor.ts'

/** Keeps a VM whose sidecar is down for good from being cut off by its own traffic rules. */
export interface CaptureWatchdog {
  /** Begins to watch; `policy` is asked at the moment it matters. Ends with `signal`. */
  start(policy: () => Bundle['capture']['whenSidecarDown'], signal: AbortSignal): void
  /** Whether the rules were taken away and nobody has put them back. */
  readonly opened: boolean
  /** Tells that the rules are in force again. */
  closed(): void
  /** Tells that the sidecar cannot even be started; said again for as long as it is so. */
  prevented(): void
  onChange(listener: (opened: boolean) => void): () => void
}

export interface CaptureWatchdogDeps {
  readonly supervisor: Pick<Supervisor, 'state' | 'onChange'>
  readonly undo: (signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
}

/**
 * How long a sidecar may be kept from starting before it counts as down for good: about as long as a supervisor takes
 * to give up one that fails.
 */
export const preventedMs = 15_000

/**
 * Removes the rules when the sidecar is down for good and the pool says `open`: the supervisor gave it up, or it cannot
 * be started, because another program has its ports. They come back with the
 * step `capture`, which convergence reaches again once the sidecar is ready.
 */
export function createCaptureWatchdog(deps: CaptureWatchdogDeps): CaptureWatchdog {
  const { supervisor, clock, log } = deps
  const listeners = new Set<(opened: boolean) => void>()
  let opened = false
  let opening = false
  let preventedSince: number | undefined
  let look = () => {}

  const set = (next: boolean) => {
    if (opened === next) return
    opened = next
    for (const listener of listeners) listener(opened)
  }

  const isHopeless = () => {
    const { running, downForGood } = supervisor.state()
    if (running) return false
    return downForGood || (preventedSince !== undefined && clock.now() - preventedSince >= preventedMs)
  }

  const open = async (signal: AbortSignal): Promise<void> => {
    const backoff = createBackoff({ baseMs: 200, maxMs: 5000, ...(deps.random && { random: deps.random }) })
    while (isHopeless() && !opened && !signal.aborted) {
      try {
        await deps.undo(signal)
        log.warn('the sidecar is down for good: traffic goes past it now')
        set(true)
      } catch (error) {
        if (signal.aborted) return
        log.error('the traffic rules cannot be removed', { error: errorText(error) })
        await clock.sleep(backoff.next(), signal).catch(() => {})
      }
    }
  }

  return {
    start(policy, signal) {
      look = () => {
        if (supervisor.state().running) preventedSince = undefined
        if (!isHopeless() || opened || opening || policy() !== 'open') return
        opening = true
        void open(signal).finally(() => {
          opening = false
        })
      }
      const forget = supervisor.onChange(look)
      signal.addEventListener('abort', forget, { once: true })
      look()
    },
    get opened() {
      return opened
    },
    closed: () => set(false),
    prevented() {
      preventedSince ??= clock.now()
      look()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
