import type { PoolSpec } from '../../../shared/api/operator.ts'
import { isMooringError } from '../../../shared/errors.ts'
import { poolSpec } from './pool-codec.ts'

/** A Pool as it stands in the cluster. */
export interface PoolCandidate {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly fields: unknown
  /** Fields that were in force before, out of its status. */
  readonly accepted: unknown
}

export interface PoolVerdict {
  /** What is in force: the spec, or the one before when it cannot be used. Undefined: the pool does not count. */
  readonly spec: PoolSpec | undefined
  readonly condition: {
    readonly status: 'True' | 'False'
    readonly reason: 'Accepted' | 'Invalid' | 'NameTaken'
    readonly message: string
  }
}

/** Throws `REQUEST_INVALID` for a spec that cannot be used beside the others. */
export type PoolRules = (name: string, spec: PoolSpec, others: ReadonlyMap<string, PoolSpec>) => void

/**
 * Which pools count, oldest first. kubectl gets past what the API's routes check, so it is checked here; a pool that
 * was spoilt by a change stays in force as it was, since its VMs serve. A name is one pool's in all namespaces.
 */
export function judgePools(
  oldestFirst: readonly PoolCandidate[],
  rules: PoolRules,
): ReadonlyMap<string, PoolVerdict> {
  const verdicts = new Map<string, PoolVerdict>()
  const inForce = new Map<string, PoolSpec>()
  const owners = new Map<string, PoolCandidate>()
  for (const pool of oldestFirst) {
    const owner = owners.get(pool.name)
    if (owner !== undefined) {
      const message = `namespace ${owner.namespace} has an older pool of this name`
      verdicts.set(pool.uid, {
        spec: undefined,
        condition: { status: 'False', reason: 'NameTaken', message },
      })
      continue
    }
    owners.set(pool.name, pool)
    const verdict = judge(pool, inForce, rules)
    verdicts.set(pool.uid, verdict)
    if (verdict.spec !== undefined) inForce.set(pool.name, verdict.spec)
  }
  return verdicts
}

function judge(pool: PoolCandidate, others: ReadonlyMap<string, PoolSpec>, rules: PoolRules): PoolVerdict {
  const { name, namespace } = pool
  try {
    const spec = poolSpec(pool.fields, namespace)
    rules(name, spec, others)
    return { spec, condition: { status: 'True', reason: 'Accepted', message: 'in force' } }
  } catch (error) {
    if (!isMooringError(error)) throw error
    const before = accepted(pool)
    const fault = error.detail ?? error.title
    const message = before === undefined ? fault : `${fault}; what was accepted before stays in force`
    return { spec: before, condition: { status: 'False', reason: 'Invalid', message } }
  }
}

function accepted({ accepted, namespace }: PoolCandidate): PoolSpec | undefined {
  if (typeof accepted !== 'object' || accepted === null) return undefined
  try {
    return poolSpec(accepted, namespace)
  } catch {
    return undefined
  }
}
