import { setTimeout as delay } from 'node:timers/promises'

export interface WaitOptions {
  /** What is waited for, for the message of the failure. */
  readonly what: string
  /** Generous: it ends a broken test, and judges nothing. @defaultValue 90000 */
  readonly limitMs?: number
  readonly everyMs?: number
  readonly signal?: AbortSignal
  /** Added to the failure: what was the case instead. */
  readonly onTimeout?: () => string | Promise<string>
}

/** Asks again and again until `probe` gives something other than undefined or false; what it throws is its last word. */
export async function waitFor<T>(
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const { what, limitMs = 90_000, everyMs = 50, signal, onTimeout } = options
  const end = performance.now() + limitMs
  let last: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > end) {
      const more = onTimeout === undefined ? '' : `\n${await onTimeout()}`
      throw new Error(`waited ${limitMs} ms in vain for ${what}${more}`, { cause: last })
    }
    await delay(everyMs, undefined, signal === undefined ? {} : { signal })
  }
}
