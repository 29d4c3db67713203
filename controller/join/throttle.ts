import { MooringError } from '../../shared/errors.ts'

export interface ThrottleDeps {
  /** How many are worked on at once. */
  readonly places: number
  /** How many more may wait. */
  readonly waiting: number
  /** In [0, 1). */
  readonly random: () => number
  /** Told how many wait, whenever that changes. */
  readonly changed?: (waiting: number) => void
}

/** Lets a storm through in pieces, first come first served, and sends away what it could not serve in time. */
export interface Throttle {
  /** Throws `UNAVAILABLE`, with a jittered `Retry-After`, when too many wait already. */
  run<T>(work: () => Promise<T>): Promise<T>
}

export function createThrottle(deps: ThrottleDeps): Throttle {
  const { places, waiting, random, changed = () => {} } = deps
  const queue: (() => void)[] = []
  let busy = 0

  async function enter(): Promise<void> {
    if (busy < places) {
      busy += 1
      return
    }
    if (queue.length >= waiting) {
      // Spread over a time that grows with what is refused, so that they do not come back together.
      throw new MooringError('UNAVAILABLE', {
        detail: 'too many joins at once',
        retryAfterSeconds: 1 + Math.floor(random() * 9),
      })
    }
    await new Promise<void>((resolve) => {
      queue.push(resolve)
      changed(queue.length)
    })
  }

  function leave(): void {
    const next = queue.shift()
    if (next === undefined) busy -= 1
    else {
      changed(queue.length)
      next()
    }
  }

  return {
    async run(work) {
      await enter()
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}
