import type { Backoff } from '../shared/backoff.ts'
import type { Clock } from '../shared/clock.ts'
import type { ErrorCode } from '../shared/error-catalogue.ts'
import { isMooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'

/** What an agent at its start waits for, instead of ending and being started again. */
const passing: ReadonlySet<ErrorCode> = new Set(['NOT_CONFIGURED', 'STATE_UNWRITABLE', 'DISK_FULL'])

export interface ObstaclesDeps {
  readonly clock: Clock
  readonly log: Log
  readonly backoff: Backoff
  /** Takes one line for people. */
  readonly tell: (status: string) => void
  readonly signal: AbortSignal
}

/** Passes what stands in the way of a start, by waiting. */
export interface Obstacles {
  /** Tries until it succeeds; each obstacle is said once. Rejects with what does not pass by itself. */
  pass<T>(attempt: () => Promise<T>): Promise<T>
}

export function createObstacles({ clock, log, backoff, tell, signal }: ObstaclesDeps): Obstacles {
  let said = ''
  return {
    async pass(attempt) {
      backoff.reset()
      for (;;) {
        signal.throwIfAborted()
        try {
          return await attempt()
        } catch (error) {
          if (!isMooringError(error)) throw error
          // Who waits for a file may read it while it is written.
          const passes = passing.has(error.code) || (said !== '' && error.code === 'CONFIG_INVALID')
          if (!passes) throw error
          const { code, detail, title, fix } = error
          const words = `${code} ${detail}`
          if (words !== said) {
            log.error('the agent cannot start yet', { code, detail, title, fix })
            tell(`waiting: ${title} (${code})`)
          }
          said = words
        }
        await clock.sleep(backoff.next(), signal)
      }
    },
  }
}
