import type { Clock } from '../../../../../shared/clock.ts'

/** Time that passes only when somebody sleeps, and then at once. */
export function createFakeClock(start = 1_700_000_000_000): Clock & { advance(ms: number): void } {
  let now = start
  return {
    now: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      now += ms
      // Lets others run, as a real pause would.
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    },
    advance(ms) {
      now += ms
    },
  }
}
