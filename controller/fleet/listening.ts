import type { Clock } from '../../shared/clock.ts'

/**
 * How long this process has listened. While it does not run (paused, starved of its processor), what others
 * say in time waits unread in sockets: such time is nobody's silence.
 */
export interface Listening {
  /** Milliseconds since `time` in which the process ran: never more than have passed. */
  since(time: number): number
  close(): void
}

interface Stall {
  readonly from: number
  readonly to: number
}

// Nobody asks about longer ago: two heartbeats of the slowest pool fit well.
const keepMs = 30 * 60_000

export interface ListeningDeps {
  readonly clock: Clock
  /** What is shorter than two of these is not told from a busy moment. @defaultValue 500 */
  readonly periodMs?: number
}

/** Looks at the clock again and again; where a look is late, the event loop stood still. */
export function createListening({ clock, periodMs = 500 }: ListeningDeps): Listening {
  const stop = new AbortController()
  const stalls: Stall[] = []
  let lookedAt = clock.now()
  look().catch(() => {})

  async function look(): Promise<void> {
    for (;;) {
      await clock.sleep(periodMs, stop.signal)
      note()
    }
  }

  function note(): void {
    const now = clock.now()
    if (now - lookedAt > 2 * periodMs) stalls.push({ from: lookedAt + periodMs, to: now })
    while (stalls[0] !== undefined && now - stalls[0].to > keepMs) stalls.shift()
    lookedAt = now
  }

  return {
    since(time) {
      // Timers come before sockets, and one of them may ask before the look that is due.
      note()
      const now = lookedAt
      let missed = 0
      for (const { from, to } of stalls) missed += Math.max(0, Math.min(to, now) - Math.max(from, time))
      return Math.max(0, now - time - missed)
    },
    close: () => stop.abort(),
  }
}
