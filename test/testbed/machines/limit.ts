import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for `event`, and throws what `late` makes when it has not come in time. */
export async function within<T>(event: Promise<T>, limitMs: number, late: () => Error): Promise<T> {
  const over = new AbortController()
  const limit = sleep(limitMs, undefined, { signal: over.signal }).then(() => {
    throw late()
  })
  limit.catch(() => {})
  return Promise.race([event, limit]).finally(() => over.abort())
}
