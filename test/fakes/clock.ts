import type { Clock } from '../../shared/clock.ts'

/** A clock that moves only when a test says so. */
export interface FakeClock extends Clock {
  /** Moves time on and wakes, in order, every sleeper whose time has come. */
  advance(ms: number): Promise<void>
  /** Moves time on while the process does not run: nobody wakes before the next `advance`. */
  stall(ms: number): void
  /** How many sleep now. */
  readonly sleepers: number
  /** Resolves when at least `count` sleep. */
  untilSleeping(count?: number): Promise<void>
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export function createFakeClock(start = 1_800_000_000_000): FakeClock {
  let now = start
  const sleeping = new Set<Sleeper>()

  return {
    now: () => now,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const sleeper: Sleeper = {
          at: now + ms,
          wake() {
            sleeping.delete(sleeper)
            signal?.removeEventListener('abort', onAbort)
            resolve()
          },
        }
        const onAbort = () => {
          sleeping.delete(sleeper)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        sleeping.add(sleeper)
      })
    },
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const next = [...sleeping].filter((s) => s.at <= end).sort((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        now = Math.max(now, next.at)
        next.wake()
        await turn()
      }
      now = end
      await turn()
    },
    stall(ms) {
      now += ms
    },
    get sleepers() {
      return sleeping.size
    },
    async untilSleeping(count = 1) {
      while (sleeping.size < count) await turn()
    },
  }
}

/** Lets everything that can run without time passing run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
