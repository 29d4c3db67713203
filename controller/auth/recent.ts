import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'

export interface RecentDeps<T> {
  readonly clock: Clock
  /** How many answers are kept. */
  readonly most: number
  /** How many may be fetched at a time. */
  readonly atOnce: number
  /** How long an answer is believed. */
  readonly keepMs: (answer: T) => number
}

/** Answers that were given a moment ago; failures are not kept, and who asks the same meanwhile waits for one answer. */
export interface Recent<T> {
  /** Throws `UNAVAILABLE` when too many are being fetched, and whatever `fetch` throws. */
  get(key: string, fetch: () => Promise<T>): Promise<T>
  readonly size: number
}

export function createRecent<T>(deps: RecentDeps<T>): Recent<T> {
  const { clock, most, atOnce, keepMs } = deps
  const kept = new Map<string, { readonly answer: T; readonly until: number }>()
  const coming = new Map<string, Promise<T>>()

  async function fetched(key: string, fetch: () => Promise<T>): Promise<T> {
    const answer = await fetch()
    kept.delete(key)
    kept.set(key, { answer, until: clock.now() + keepMs(answer) })
    const [oldest] = kept.keys()
    if (kept.size > most && oldest !== undefined) kept.delete(oldest)
    return answer
  }

  return {
    async get(key, fetch) {
      const known = kept.get(key)
      if (known !== undefined && clock.now() < known.until) return known.answer
      const under = coming.get(key)
      if (under !== undefined) return under
      if (coming.size >= atOnce) {
        throw new MooringError('UNAVAILABLE', { detail: 'too many operators at once', retryAfterSeconds: 2 })
      }
      const asked = fetched(key, fetch).finally(() => coming.delete(key))
      coming.set(key, asked)
      return asked
    },
    get size() {
      return kept.size
    },
  }
}
