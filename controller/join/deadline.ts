import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'

/** Runs `work` with a signal that is aborted, with `UNAVAILABLE`, when it takes longer than `ms`. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const done = new AbortController()
  clock.sleep(ms, done.signal).then(
    () =>
      late.abort(
        new MooringError('UNAVAILABLE', {
          detail: `${what} took longer than ${ms} ms`,
          retryAfterSeconds: 5,
        }),
      ),
    () => {},
  )
  const aborted = new Promise<never>((_, reject) => {
    late.signal.addEventListener('abort', () => reject(late.signal.reason), { once: true })
  })
  try {
    return await Promise.race([work(late.signal), aborted])
  } finally {
    done.abort()
  }
}
