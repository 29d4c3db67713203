import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { EntryPlaces, ForeignEntry } from './entry-places.ts'
import { meshTypes } from './resource-types.ts'

/**
 * Takes away the entries of others in whose place there is one of ours, where their annotation allows it. The VM gets
 * no new requests then until its own sidecar serves, so that the one before can be stopped.
 */
export interface Adoption {
  /** Entries may be otherwise than they were. */
  look(): void
  /** Until aborted. */
  run(signal: AbortSignal): Promise<void>
}

export interface AdoptionDeps {
  readonly client: Client
  readonly places: Pick<EntryPlaces, 'adoptable'>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

export function createAdoption(deps: AdoptionDeps): Adoption {
  const { client, places, clock, log, random } = deps
  let bell = Promise.withResolvers<void>()

  async function takeOver({ ref, uid, consent }: ForeignEntry, signal: AbortSignal): Promise<void> {
    try {
      // That very entry: one that was made in its place has not been looked at.
      await client.remove(meshTypes.WorkloadEntry, ref, { uid }, { signal })
    } catch (error) {
      // The watch has not told yet, or will tell of another.
      if (isMooringError(error, 'NOT_FOUND') || isMooringError(error, 'CONFLICT')) return
      throw error
    }
    log.info('a VM has taken the place of an entry that it may adopt', { ...ref, pool: consent })
  }

  return {
    look: () => bell.resolve(),
    async run(signal) {
      const backoff = createBackoff({ baseMs: 500, maxMs: 30_000, random })
      signal.addEventListener('abort', () => bell.resolve(), { once: true })
      while (!signal.aborted) {
        await bell.promise
        bell = Promise.withResolvers<void>()
        if (signal.aborted) return
        try {
          for (const entry of places.adoptable()) await takeOver(entry, signal)
          backoff.reset()
        } catch (error) {
          if (signal.aborted) return
          log.warn('an entry was not adopted and is tried again', { error: errorText(error) })
          await clock.sleep(backoff.next(), signal).catch(() => {})
          bell.resolve()
        }
      }
    },
  }
}
