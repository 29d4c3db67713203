/**
 * What `kubectl delete` means. An object that others still depend on has a finalizer of the controller's, as pods and
 * volumes in use have: a VM is removed as by `mooring vm remove`, and its object goes when it left; a Pool stays in
 * force, without its tokens, until its last VM left. What must be known of a removed VM for longer, since its
 * certificates are still good, is kept in a Secret of the controller, so that nobody waits for that.
 */
import { hasEntry } from '../../../shared/lifecycle.ts'
import type { VmRecord } from '../records.ts'
import type { PoolContent } from './pool-shelf.ts'
import { finalizer } from './resources.ts'
import type { Entry } from './shelf.ts'

/** Who is said to have removed a VM whose object was deleted; the API server's audit log knows the person. */
export const removedBy = 'kubernetes'

/** The record of a VM whose object was deleted at that time, Unix milliseconds: with the wish that this is. */
export function removedRecord(record: VmRecord, at: number): VmRecord {
  const revoked = record.revoked ?? {
    at,
    by: removedBy,
    evictUntil: Math.max(record.workloadCertificateUntil, at),
    now: false,
  }
  const isLeaving = revoked.now || !hasEntry(record.phase) || record.drain?.after === 'leave'
  if (isLeaving) return { ...record, revoked }
  const drain = { reason: 'removed', after: 'leave', requestedAt: at, by: removedBy } as const
  return { ...record, revoked, drain }
}

/** One step towards what the objects in the cluster should be. */
export type RemovalStep =
  /** It is in force, and must not vanish under its VMs. */
  | { readonly do: 'hold-pool'; readonly pool: Entry<PoolContent> }
  | { readonly do: 'void-tokens'; readonly pool: string }
  | { readonly do: 'release-pool'; readonly pool: Entry<PoolContent> }
  /** What is to be known of it goes to a Secret, and the object goes. */
  | { readonly do: 'release-vm'; readonly vm: Entry<VmRecord> }

export interface RemovalQuestion {
  readonly pools: Iterable<Entry<PoolContent>>
  /** Whether the object is the one that counts for its name. */
  readonly isInForce: (pool: Entry<PoolContent>) => boolean
  readonly vms: Iterable<Entry<VmRecord>>
}

export function removalSteps({ pools, isInForce, vms }: RemovalQuestion): readonly RemovalStep[] {
  const steps: RemovalStep[] = []
  const all = [...vms]
  for (const vm of all) {
    if (vm.deleting !== undefined && !hasEntry(vm.value.phase)) steps.push({ do: 'release-vm', vm })
  }
  for (const pool of pools) {
    const isHeld = pool.kept.finalizers?.includes(finalizer) ?? false
    if (pool.deleting === undefined) {
      if (!isHeld && isInForce(pool)) steps.push({ do: 'hold-pool', pool })
      continue
    }
    if (isInForce(pool)) steps.push({ do: 'void-tokens', pool: pool.name })
    if (isHeld && (!isInForce(pool) || remaining(pool.name, all).length === 0)) {
      steps.push({ do: 'release-pool', pool })
    }
  }
  return steps
}

/** VMs of the pool that are not out of the mesh yet. */
export function remaining(pool: string, vms: Iterable<Entry<VmRecord>>): readonly string[] {
  return [...vms]
    .filter(({ value }) => value.pool === pool && hasEntry(value.phase))
    .map(({ name }) => name)
    .sort()
}
