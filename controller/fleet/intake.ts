import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import type { Inventory } from './inventory.ts'
import type { Replicas } from './replicas.ts'
import type { Roster } from './roster.ts'

/** Takes in what is stored and what changes in it. */
export interface Intake {
  /** Resolves when everything was read once; tries until aborted. */
  start(signal: AbortSignal): Promise<void>
  close(): void
}

export interface IntakeDeps {
  readonly store: ResourceStore
  readonly replicas: Pick<Replicas, 'onChange'>
  readonly inventory: Pick<Inventory, 'load'>
  readonly roster: Pick<Roster, 'load' | 'refresh'>
  readonly clock: Clock
  readonly log: Log
  readonly jitter: { readonly random?: () => number }
  /** A change was not read: everything is to be looked at. */
  readonly amiss: () => void
  readonly replicaChanged: (name: string) => void
}

export function createIntake(deps: IntakeDeps): Intake {
  const { store, replicas, inventory, roster, clock, log, jitter } = deps
  let subscriptions: readonly (() => void)[] = []

  const changed: Parameters<ResourceStore['onChange']>[0] = (kind, name) => {
    if (kind !== 'vm' && kind !== 'pool') return
    roster.refresh(kind, name).catch((error: unknown) => {
      log.warn('a change in the store was not read', { kind, name, error: errorText(error) })
      deps.amiss()
    })
  }

  return {
    async start(signal) {
      subscriptions = [store.onChange(changed), replicas.onChange(deps.replicaChanged)]
      const backoff = createBackoff({ ...jitter, baseMs: 200, maxMs: 5_000 })
      for (;;) {
        try {
          await inventory.load(signal)
          await roster.load()
          return
        } catch (error) {
          signal.throwIfAborted()
          log.warn('the fleet cannot be read yet', { error: errorText(error) })
          await clock.sleep(backoff.next(), signal)
        }
      }
    },
    close() {
      for (const end of subscriptions) end()
    },
  }
}
