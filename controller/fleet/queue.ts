import { type Backoff, createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { createAlarms } from './alarms.ts'

/**
 * Work by key, as controller-runtime's work queue has it: a key waits at most once, is never worked on twice
 * at a time, and what is added while it is worked on is worked on again afterwards.
 */
export interface Queue {
  add(key: string): void
  /** Adds the key after `ms`, or earlier if it was to be added earlier anyway. */
  addAfter(key: string, ms: number): void
  /** Works on the key before others; settles with the outcome of a run that began after this call. */
  runNow(key: string, signal?: AbortSignal): Promise<void>
  /** How many keys wait. */
  readonly depth: number
  /** Whether no key waits or is worked on; keys that wait for a time do not count. */
  readonly idle: boolean
  /** Aborts what runs, and resolves when nothing does. */
  close(): Promise<void>
}

export interface QueueDeps {
  readonly clock: Clock
  readonly work: (key: string, signal: AbortSignal) => Promise<void>
  /** How many keys are worked on at a time. */
  readonly parallel: number
  /** Pause before a key that failed is tried again; doubles up to `maxMs`. */
  readonly retry: { readonly baseMs: number; readonly maxMs: number }
  readonly random?: () => number
  readonly onDone?: (key: string, outcome: { readonly ms: number; readonly error?: unknown }) => void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** The one queue of the fleet. */
export function createQueue(deps: QueueDeps): Queue {
  const { clock, work, parallel, retry, random, onDone } = deps
  const urgent = new Set<string>()
  const waiting = new Set<string>()
  /** Keys being worked on, and whether each was added again meanwhile. */
  const running = new Map<string, { again: 'no' | 'later' | 'urgent' }>()
  const waiters = new Map<string, Set<Waiter>>()
  const backoffs = new Map<string, Backoff>()
  const alarms = createAlarms({ clock, ring: (key) => add(key, false) })
  const abort = new AbortController()
  let whenStopped: (() => void) | undefined

  function add(key: string, isUrgent: boolean): void {
    if (abort.signal.aborted) return
    const run = running.get(key)
    if (run !== undefined) {
      if (run.again !== 'urgent') run.again = isUrgent ? 'urgent' : 'later'
      return
    }
    if (isUrgent) {
      waiting.delete(key)
      urgent.add(key)
    } else if (!urgent.has(key)) waiting.add(key)
    pump()
  }

  function pump(): void {
    while (running.size < parallel && !abort.signal.aborted) {
      const from = urgent.size > 0 ? urgent : waiting
      const [key] = from
      if (key === undefined) return
      from.delete(key)
      void run(key)
    }
  }

  async function run(key: string): Promise<void> {
    const state = { again: 'no' as 'no' | 'later' | 'urgent' }
    running.set(key, state)
    const served = waiters.get(key)
    waiters.delete(key)
    const startedAt = clock.now()
    let failure: { readonly error: unknown } | undefined
    try {
      await work(key, abort.signal)
    } catch (error) {
      failure = { error }
    }
    running.delete(key)
    onDone?.(key, { ms: clock.now() - startedAt, ...failure })
    for (const waiter of served ?? []) {
      if (failure === undefined) waiter.resolve()
      else waiter.reject(failure.error)
    }
    if (abort.signal.aborted) {
      if (running.size === 0) whenStopped?.()
      return
    }
    if (failure === undefined) backoffs.delete(key)
    else later(key, backoffOf(key).next())
    if (state.again !== 'no') add(key, state.again === 'urgent')
    pump()
  }

  function later(key: string, ms: number): void {
    const at = clock.now() + ms
    if (at < (alarms.at(key) ?? Number.POSITIVE_INFINITY)) alarms.set(key, at)
  }

  function backoffOf(key: string): Backoff {
    const known = backoffs.get(key)
    if (known !== undefined) return known
    const made = createBackoff({ ...retry, ...(random && { random }) })
    backoffs.set(key, made)
    return made
  }

  return {
    add: (key) => add(key, false),
    addAfter: later,
    runNow(key, signal) {
      return new Promise((resolve, reject) => {
        if (abort.signal.aborted) return reject(stopping())
        if (signal?.aborted) return reject(signal.reason)
        const set = waiters.get(key) ?? new Set()
        const waiter: Waiter = {
          resolve: () => {
            signal?.removeEventListener('abort', onAbort)
            resolve()
          },
          reject: (error) => {
            signal?.removeEventListener('abort', onAbort)
            reject(error)
          },
        }
        const onAbort = () => {
          set.delete(waiter)
          waiter.reject(signal?.reason)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        waiters.set(key, set.add(waiter))
        add(key, true)
      })
    },
    get depth() {
      return urgent.size + waiting.size
    },
    get idle() {
      return urgent.size + waiting.size + running.size === 0
    },
    close() {
      abort.abort(stopping())
      alarms.close()
      for (const set of waiters.values()) for (const waiter of [...set]) waiter.reject(stopping())
      waiters.clear()
      urgent.clear()
      waiting.clear()
      return new Promise((resolve) => {
        if (running.size === 0) resolve()
        else whenStopped = resolve
      })
    },
  }
}

function stopping(): MooringError {
  return new MooringError('UNAVAILABLE', { detail: 'the controller stops', retryAfterSeconds: 1 })
}
