/**
 * Does `work` with a signal that aborts with `signal`, or by a `TimeoutError` after `ms`, and rejects then even if
 * the work does not heed it. Unlike with `AbortSignal.timeout`, no timer is left when the work is done: a process
 * that has nothing to do is not woken.
 */
export function withTimeLimit<T>(
  ms: number,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const limit = new AbortController()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
    const end = (reason: unknown) => {
      done()
      reject(reason)
      limit.abort(reason)
    }
    const onAbort = () => end(signal.reason)
    const timer = setTimeout(() => end(new DOMException(`took longer than ${ms} ms`, 'TimeoutError')), ms)
    signal.addEventListener('abort', onAbort, { once: true })
    work(limit.signal).then(resolve, reject).finally(done)
  })
}

/** Whether `error` is how `withTimeLimit` ends what takes too long. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}
