import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { DownMessage } from '../client/stream.ts'
import type { Drain } from '../shutdown/drain.ts'

/**
 * When a sidecar that runs may be stopped for another one. The controller says it for one VM after the other,
 * each time with the endpoint closed before; see `restart` in shared/api/stream.ts.
 */
export interface RestartWindow {
  /** Whether it may be stopped now. If not, the controller is asked for it. */
  isOpen(): boolean
  /** It was asked for, and what it is for is not done yet. */
  readonly pending: boolean
  /** Waits until nobody is served any more, within the limits that came with the word. */
  quiet(signal: AbortSignal): Promise<void>
  /** The sidecar that is wanted runs. */
  over(): void
  take(message: DownMessage): void
  /** Told when it was asked for, opened or is over. */
  onChange(listener: () => void): () => void
}

export interface RestartWindowDeps {
  readonly drain: Drain
  readonly log: Log
}

type Order = Extract<DownMessage, { kind: 'restart' }>

export function createRestartWindow({ drain, log }: RestartWindowDeps): RestartWindow {
  const listeners = new Set<() => void>()
  /** As the last welcome said; a controller of another release may not know of it. Until the first, nobody knows. */
  let isPaced: boolean | undefined
  let pending = false
  let order: Order | undefined

  const changed = () => {
    for (const listener of listeners) listener()
  }

  return {
    isOpen() {
      if (isPaced === false || order !== undefined) return true
      if (!pending) {
        pending = true
        log.info('the sidecar is to be started anew: waits for its turn')
        changed()
      }
      return false
    },
    get pending() {
      return pending
    },
    async quiet(signal) {
      if (order === undefined) return
      const { quietMs, deadlineMs } = order
      try {
        const result = await drain.run({ quietMs, deadlineMs, signal })
        log.info('quiet: the sidecar is started anew', { ...result })
      } catch (error) {
        signal.throwIfAborted()
        log.warn('the wait before the restart was cut short', { error: errorText(error) })
      }
    },
    over() {
      order = undefined
      if (!pending) return
      pending = false
      changed()
    },
    take(message) {
      if (message.kind === 'welcome') isPaced = message.pacesRestarts === true
      else if (message.kind === 'restart' && pending) order = message
      else return
      if (pending) changed()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
