import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Stream } from '../client/stream.ts'

/** `told`: the controller knows. `unheard`: it is there, and does not answer. */
export type FarewellEnd = 'told' | 'revoked' | 'unheard' | 'aborted'

/**
 * Tells a controller that was not there when this VM left. It would otherwise believe the VM lost, and keep
 * its closed entry for the grace period.
 */
export interface Farewell {
  /**
   * Waits for the controller for as long as it takes. `patient`: also for one that is there and does not
   * answer; nothing else is waiting.
   */
  run(options: { readonly patient: boolean; readonly signal: AbortSignal }): Promise<FarewellEnd>
}

export interface FarewellDeps {
  /** A stream of its own. `unknown` is called when the controller does not accept the certificate any more. */
  readonly openStream: (unknown: () => void) => Pick<Stream, 'run' | 'send' | 'onMessage'>
  readonly clock: Clock
  readonly log: Log
}

/** How long the controller has to answer, and how often it is told. */
const answerMs = 5_000
const tries = 4

export function createFarewell({ openStream, clock, log }: FarewellDeps): Farewell {
  return {
    async run({ patient, signal }) {
      const over = new AbortController()
      const until = AbortSignal.any([signal, over.signal])
      const ended: { as: FarewellEnd } = { as: 'aborted' }
      const finish = (as: FarewellEnd) => {
        if (over.signal.aborted) return
        ended.as = as
        over.abort()
      }
      // It gave this VM up already, or the certificate has ended and with it all that it could wait for.
      const stream = openStream(() => finish('told'))
      let isTelling = false
      const tell = async (): Promise<void> => {
        if (isTelling) return
        isTelling = true
        for (let n = 0; patient || n < tries; n += 1) {
          stream.send({ kind: 'left' })
          await clock.sleep(answerMs, until)
        }
        finish('unheard')
      }
      const forget = stream.onMessage((message) => {
        if (message.kind === 'bye') finish(message.revoked ? 'revoked' : 'told')
        // Every connection is told at once; the answer to the one before it may be lost.
        if (message.kind !== 'welcome') return
        if (isTelling) stream.send({ kind: 'left' })
        else tell().catch(() => {})
      })
      try {
        if ((await stream.run(until)) === 'revoked') finish('revoked')
      } catch (error) {
        log.warn('the controller cannot be told that this VM left', { error: errorText(error) })
        finish('unheard')
      } finally {
        forget()
        over.abort()
      }
      if (ended.as === 'told') log.info('the controller knows now that this VM left')
      return ended.as
    },
  }
}
