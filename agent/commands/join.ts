import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError } from '../../shared/errors.ts'
import type { Joiner } from '../join/joiner.ts'
import type { StateStore } from '../state.ts'

export interface JoinCommandDeps {
  readonly joiner: Joiner
  readonly store: StateStore
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** How long the command tries on when something passes by itself. */
const patienceMs = 60_000

/** Joins if this VM has not joined, and returns its id. */
export async function joinOnly({ joiner, store, clock, signal }: JoinCommandDeps): Promise<string> {
  const { identity, left } = store.current() ?? {}
  if (identity !== undefined && left === undefined && identity.certificateUntil > clock.now())
    return identity.vm
  const deadline = clock.now() + patienceMs
  const backoff = createBackoff({ baseMs: 200, maxMs: 5_000, floorMs: 50 })
  for (;;) {
    try {
      return (await joiner.join(signal)).identity.vm
    } catch (error) {
      signal.throwIfAborted()
      if (!isMooringError(error) || !error.retryable || clock.now() >= deadline) throw error
      await clock.sleep(backoff.next(), signal)
    }
  }
}
