import type { Clock } from '../../shared/clock.ts'

// setTimeout takes no longer delay than 2^31 - 1 ms; a day is below it.
const longestSleepMs = 86_400_000

/** Many alarms behind one timer: ten thousand VMs must not be ten thousand timers. */
export interface Alarms {
  /** Goes off once at `at`; replaces the key's earlier alarm. */
  set(key: string, at: number): void
  /** When the key's alarm goes off, or undefined. */
  at(key: string): number | undefined
  clear(key: string): void
  /** No alarm goes off any more. */
  close(): void
}

export interface AlarmsDeps {
  readonly clock: Clock
  /** `lateMs`: how much later than asked; large when this process did not run for a while. */
  readonly ring: (key: string, lateMs: number) => void
}

interface Alarm {
  readonly key: string
  readonly at: number
}

/** A binary heap of due times; alarms that were replaced or cleared are dropped when they come to the top. */
export function createAlarms(deps: AlarmsDeps): Alarms {
  const { clock, ring } = deps
  const current = new Map<string, Alarm>()
  let heap: Alarm[] = []
  let sleeping: { readonly until: number; readonly abort: AbortController } | undefined
  let closed = false

  function push(alarm: Alarm): void {
    let i = heap.push(alarm) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (dueAt(heap, parent) <= alarm.at) break
      swap(heap, i, parent)
      i = parent
    }
  }

  function pop(): Alarm | undefined {
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    heap[0] = last
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      const least = dueAt(heap, left + 1) < dueAt(heap, left) ? left + 1 : left
      if (dueAt(heap, least) >= dueAt(heap, i)) return top
      swap(heap, i, least)
      i = least
    }
  }

  function peek(): Alarm | undefined {
    for (;;) {
      const top = heap[0]
      if (top === undefined || current.get(top.key) === top) return top
      pop()
    }
  }

  function arm(): void {
    const top = closed ? undefined : peek()
    if (sleeping !== undefined) {
      if (top !== undefined && sleeping.until <= top.at) return
      sleeping.abort.abort()
      sleeping = undefined
    }
    if (top === undefined) return
    const delay = Math.min(Math.max(0, top.at - clock.now()), longestSleepMs)
    const abort = new AbortController()
    sleeping = { until: clock.now() + delay, abort }
    clock.sleep(delay, abort.signal).then(
      () => {
        if (!abort.signal.aborted) wake()
      },
      () => {},
    )
  }

  function wake(): void {
    sleeping = undefined
    const now = clock.now()
    for (let top = peek(); top !== undefined && top.at <= now; top = peek()) {
      pop()
      current.delete(top.key)
      ring(top.key, now - top.at)
    }
    arm()
  }

  return {
    set(key, at) {
      if (closed || current.get(key)?.at === at) return
      const alarm = { key, at }
      current.set(key, alarm)
      push(alarm)
      if (heap.length > 64 && heap.length > 4 * current.size) {
        heap = []
        for (const kept of current.values()) push(kept)
      }
      if (sleeping === undefined || at < sleeping.until) arm()
    },
    at: (key) => current.get(key)?.at,
    clear(key) {
      current.delete(key)
      if (current.size === 0) arm()
    },
    close() {
      closed = true
      current.clear()
      heap = []
      arm()
    },
  }
}

function dueAt(heap: readonly Alarm[], i: number): number {
  return heap[i]?.at ?? Number.POSITIVE_INFINITY
}

function swap(heap: Alarm[], i: number, j: number): void {
  const a = heap[i]
  const b = heap[j]
  if (a === undefined || b === undefined) return
  heap[i] = b
  heap[j] = a
}
