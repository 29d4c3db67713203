import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Rate } from './rate.ts'

export interface ThrottleDeps {
  /** How many are worked on at once. */
  readonly places: number
  /** How many more may wait. */
  readonly waiting: number
  /** How many sidecars may come to istiod. */
  readonly rate: Rate
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** Told how many wait, whenever that changes. */
  readonly changed?: (waiting: number) => void
}

/** Lets a storm through in pieces, first come first served, and sends away what it could not serve in time. */
export interface Throttle {
  /**
   * Throws `UNAVAILABLE`, with a jittered `Retry-After`, when too many wait already. `brings`: whether a sidecar will
   * come to istiod by it.
   */
  run<T>(work: () => Promise<T>, brings?: boolean): Promise<T>
}

// A joiner waits for its turn this long, well within its own limit; who would wait longer is told when to come back.
const longestWaitMs = 5_000
const longestRetryMs = 300_000

export function createThrottle(deps: ThrottleDeps): Throttle {
  const { places, waiting, rate, clock, random, changed = () => {} } = deps
  const queue: (() => void)[] = []
  let sleeping = 0
  let busy = 0

  function told(): void {
    changed(queue.length + sleeping)
  }

  async function awaitTurn(): Promise<void> {
    // Who was sent away has its turn, too: they are told different times, as far apart as istiod can take them.
    if (rate.waitMs() > longestWaitMs) throw tooMany(Math.min(rate.retryMs(), longestRetryMs) / 1_000)
    const ms = rate.reserve()
    if (ms === 0) return
    sleeping += 1
    told()
    await clock.sleep(ms)
    sleeping -= 1
    told()
  }

  async function enter(): Promise<void> {
    if (busy < places) {
      busy += 1
      return
    }
    await new Promise<void>((resolve) => {
      queue.push(resolve)
      told()
    })
  }

  function leave(): void {
    const next = queue.shift()
    if (next === undefined) busy -= 1
    else {
      told()
      next()
    }
  }

  /** Spread over a time of its own length at least, so that they do not come back together. */
  function tooMany(seconds: number): MooringError {
    return new MooringError('UNAVAILABLE', {
      detail: 'too many joins at once',
      retryAfterSeconds: Math.ceil(seconds) + Math.floor(random() * Math.max(9, seconds / 4)),
    })
  }

  return {
    async run(work, brings = true) {
      if (busy >= places && queue.length + sleeping >= waiting) throw tooMany(1)
      if (brings) await awaitTurn()
      await enter()
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}
