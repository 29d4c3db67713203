import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import {
  type CustomObject,
  pools as poolType,
  type StandardCondition,
} from '../../store/kubernetes/resources.ts'
import type { PoolRecord } from '../../store/records.ts'
import { fieldManager } from './ownership.ts'
import type { PoolFault } from './pool-faults.ts'

/** Says on each Pool, as its condition `Fit`, what stands against it in its namespace. */
export interface PoolConditions {
  /** Something may be otherwise than it was. */
  look(): void
  /** Until aborted. */
  run(signal: AbortSignal): Promise<void>
}

export interface PoolConditionsDeps {
  readonly client: Client
  readonly pools: () => ReadonlyMap<string, PoolRecord>
  readonly faults: () => readonly PoolFault[]
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

type Verdict = Pick<StandardCondition, 'status' | 'reason' | 'message'>
const type = 'Fit'

export function createPoolConditions(deps: PoolConditionsDeps): PoolConditions {
  const { client, clock, log, random } = deps
  /** What was said last, by pool; only what is otherwise is written. */
  const said = new Map<string, string>()
  let bell = Promise.withResolvers<void>()

  async function say(name: string, namespace: string, verdict: Verdict, signal: AbortSignal): Promise<void> {
    const text = JSON.stringify([namespace, verdict])
    if (said.get(name) === text) return
    const found = await client.get<CustomObject>(poolType, { namespace, name }, { signal })
    if (found === undefined) return
    const conditions = (found.status?.conditions ?? []) as readonly StandardCondition[]
    const old = conditions.find((condition) => condition.type === type)
    const isSaid = old?.status === verdict.status && old.message === verdict.message
    if (!isSaid || old.reason !== verdict.reason) {
      const lastTransitionTime =
        old?.status === verdict.status ? old.lastTransitionTime : new Date(clock.now()).toISOString()
      const condition = { type, ...verdict, lastTransitionTime }
      // By its uid, so that nothing is made anew of a pool that is deleted meanwhile.
      const metadata = { namespace, name, uid: found.metadata.uid ?? '' }
      await client.apply<CustomObject>(
        poolType,
        { metadata, status: { conditions: [condition] } },
        { fieldManager, force: true, subresource: 'status', signal },
      )
    }
    said.set(name, text)
  }

  async function sayAll(signal: AbortSignal): Promise<void> {
    const pools = deps.pools()
    for (const name of said.keys()) if (!pools.has(name)) said.delete(name)
    const faults = Map.groupBy(deps.faults(), ({ pool }) => pool)
    for (const [name, { spec }] of pools) {
      try {
        await say(name, spec.namespace, verdictOf(faults.get(name) ?? []), signal)
      } catch (error) {
        // It changed or went while it was written to: the next look is due to that anyhow.
        if (!isMooringError(error, 'CONFLICT') && !isMooringError(error, 'NOT_FOUND')) throw error
      }
    }
  }

  return {
    look: () => bell.resolve(),
    async run(signal) {
      const backoff = createBackoff({ baseMs: 500, maxMs: 30_000, random })
      signal.addEventListener('abort', () => bell.resolve(), { once: true })
      while (!signal.aborted) {
        try {
          await sayAll(signal)
          backoff.reset()
          await bell.promise
          bell = Promise.withResolvers<void>()
        } catch (error) {
          if (signal.aborted) return
          log.warn('what stands against pools was not written and is tried again', {
            error: errorText(error),
          })
          await clock.sleep(backoff.next(), signal).catch(() => {})
        }
      }
    },
  }
}

function verdictOf(faults: readonly PoolFault[]): Verdict {
  const [first] = faults
  if (first === undefined)
    return { status: 'True', reason: 'Fits', message: 'nothing in its namespace stands against it' }
  return { status: 'False', reason: first.code, message: faults.map(({ detail }) => detail).join('; ') }
}
