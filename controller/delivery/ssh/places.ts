import { MooringError } from '../../../shared/errors.ts'

/** Limits how many things are done at a time. */
export interface Places {
  /** Runs `work` when there is a place; rejects with the signal's reason when that comes first. */
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function createPlaces(most: number): Places {
  let free = most
  const waiting: (() => void)[] = []

  function leave(): void {
    const next = waiting.shift()
    if (next === undefined) free += 1
    else next()
  }

  function enter(signal: AbortSignal): Promise<void> {
    if (free > 0) {
      free -= 1
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const come = () => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        waiting.splice(waiting.indexOf(come), 1)
        reject(signal.reason ?? new MooringError('UNAVAILABLE'))
      }
      waiting.push(come)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    async run(work, signal) {
      signal.throwIfAborted()
      await enter(signal)
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}
