import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { isDualStack } from '../mesh/dual-stack.ts'
import type { IstioObject, Mesh, ObjectRef } from '../mesh/mesh.ts'
import { evictionPolicy, meshObjects, poolObjects, refOf, sameObject } from '../mesh/objects.ts'
import { assignedAddresses, serviceAddress, serviceAddress6, serviceKey } from '../mesh/service-address.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { type Inventory, keyOf } from './inventory.ts'
import { wantedEntry } from './plan.ts'
import type { Roster } from './roster.ts'

/** Keeps what the whole mesh and its pools need as it should be, and finds what should not be there. */
export interface Upkeep {
  /** Writes the objects of all pools, and removes those that nobody wants. */
  pools(signal: AbortSignal): Promise<void>
  /** VMs whose entry differs from what their record wants, and names of entries without a VM. */
  suspects(): Promise<readonly string[]>
}

export interface UpkeepDeps {
  readonly store: ResourceStore
  readonly mesh: Pick<Mesh, 'mode' | 'facts'>
  readonly inventory: Inventory
  readonly roster: Roster
  readonly log: Log
}

export function createUpkeep(deps: UpkeepDeps): Upkeep {
  const { store, mesh, inventory, roster, log } = deps
  const { mode = 'standalone' } = mesh

  /** What should be there; read from the store after the mesh, so that nothing newer is taken for an orphan. */
  async function wanted(): Promise<{ objects: Map<string, IstioObject>; evictions: Set<string> }> {
    const assigned = assignedAddresses(inventory.objects())
    const objects = new Map(meshObjects(mode).map((object) => [keyOf(refOf(object)), object]))
    const pools = [...(await store.list('pool'))].sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const { name, value } of pools) {
      for (const object of objectsOf(name, value, assigned)) objects.set(keyOf(refOf(object)), object)
    }
    const evictions = new Set<string>()
    for (const { name, value } of await store.list('vm')) {
      if (value.revoked !== undefined) evictions.add(keyOf(refOf(evictionPolicy(name, value))))
    }
    return { objects, evictions }
  }

  function objectsOf(name: string, pool: PoolRecord, assigned: Map<string, string>): IstioObject[] {
    const { namespace, service } = pool.spec
    // In a cluster istiod gives services their addresses.
    if (service === undefined || mode === 'kubernetes') return poolObjects(name, pool, { address: '' }, mode)
    const key = serviceKey(namespace, service.host)
    const address = serviceAddress(key, assigned)
    assigned.set(key, address)
    return poolObjects(
      name,
      pool,
      isDualStack(mesh.facts()) ? { address, address6: serviceAddress6(address) } : { address },
      mode,
    )
  }

  return {
    async pools(signal) {
      const { objects, evictions } = await wanted()
      const failures: unknown[] = []
      const attempt = async (ref: ObjectRef, change: () => Promise<void>) => {
        try {
          await change()
        } catch (error) {
          signal.throwIfAborted()
          log.warn('a pool object was not written', { ...ref, error: errorText(error) })
          failures.push(error)
        }
      }
      for (const object of objects.values()) {
        const held = inventory.held(refOf(object))
        if (held !== undefined && held !== 'unknown' && sameObject(held, object)) continue
        await attempt(refOf(object), () => inventory.applyPoolObject(object, signal))
      }
      for (const ref of inventory.refs()) {
        // Entries belong to VMs, evictions to VMs that were removed: their own plan takes them away.
        if (ref.kind === 'WorkloadEntry' || objects.has(keyOf(ref)) || evictions.has(keyOf(ref))) continue
        await attempt(ref, () => inventory.removePoolObject(ref, signal))
      }
      // One object that cannot be written must not keep the others from being written; all are tried again.
      if (failures.length > 0) throw failures[0]
    },
    async suspects() {
      const names = new Set<string>()
      for (const [vm, record] of roster.vms()) if (isAmiss(vm, record)) names.add(vm)
      for (const ref of inventory.refs()) {
        if (ref.kind === 'WorkloadEntry' && roster.vm(ref.name) === undefined) names.add(ref.name)
      }
      return [...names]
    },
  }

  function isAmiss(vm: string, record: VmRecord): boolean {
    const pool = roster.pool(record.pool)
    const [network, addressOwner] = [roster.networkOf(record), roster.ownerOf(vm, record)]
    const entry = wantedEntry({ vm, record, pool, network, addressOwner })
    const named = inventory.entriesNamed(vm)
    if (entry === undefined) return named.length > 0 || record.revoked !== undefined
    const held = inventory.held(refOf(entry))
    return named.length !== 1 || held === undefined || held === 'unknown' || !sameObject(held, entry)
  }
}
