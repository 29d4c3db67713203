import { hasEntry, type Phase } from '../../shared/lifecycle.ts'
import { effectivePool } from '../mesh/pool-defaults.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { placeOf } from './inventory.ts'

export type Change =
  | { readonly kind: 'vm'; readonly name: string; readonly before?: VmRecord; readonly after?: VmRecord }
  | { readonly kind: 'pool'; readonly name: string }

/** A copy of all VMs and pools in memory, for questions about the whole fleet. It follows the store. */
export interface Roster {
  load(): Promise<void>
  /** Reads one VM or pool anew; resolves when what was stored at the call is known. */
  refresh(kind: 'vm' | 'pool', name: string): Promise<void>
  vm(name: string): VmRecord | undefined
  vms(): ReadonlyMap<string, VmRecord>
  pool(name: string): PoolRecord | undefined
  pools(): ReadonlyMap<string, PoolRecord>
  /** Name of the Istio network of this record's address. */
  networkOf(record: VmRecord): string
  /** VMs with this record's address, whatever their phase. */
  at(record: VmRecord): readonly string[]
  /** The VM that this record's address belongs to, given that `vm` has this record. */
  ownerOf(vm: string, record: VmRecord): string
  /** How many VMs but this one serve its pool's service now. */
  otherEndpoints(vm: string, record: VmRecord): number
}

export interface RosterDeps {
  readonly store: ResourceStore
  /** Name of the network of the pools that name none. */
  readonly network: () => string
  readonly changed: (change: Change) => void
}

export function createRoster(deps: RosterDeps): Roster {
  const { store, changed } = deps
  const vms = new Map<string, VmRecord>()
  const pools = new Map<string, PoolRecord>()
  const byAddress = new Map<string, Set<string>>()
  const readyOf = new Map<string, Set<string>>()
  /** Reads under way, and whether the store changed again since they began. */
  const reading = new Map<string, { stale: boolean; done: Promise<void> }>()

  function networkOf(record: VmRecord): string {
    const pool = pools.get(record.pool)
    return (pool && effectivePool(pool.spec).network) ?? deps.network()
  }

  function putVm(name: string, after: VmRecord | undefined): void {
    const before = vms.get(name)
    if (before === after) return
    if (before !== undefined) {
      drop(byAddress, before.address, name)
      drop(readyOf, before.pool, name)
    }
    if (after === undefined) vms.delete(name)
    else {
      vms.set(name, after)
      add(byAddress, after.address, name)
      if (after.phase === 'ready') add(readyOf, after.pool, name)
    }
    changed({ kind: 'vm', name, ...(before && { before }), ...(after && { after }) })
  }

  function putPool(name: string, after: PoolRecord | undefined): void {
    if (pools.get(name) === after) return
    if (after === undefined) pools.delete(name)
    else pools.set(name, after)
    changed({ kind: 'pool', name })
  }

  function at(record: VmRecord): string[] {
    const place = placeOf(record.address, networkOf(record))
    return [...(byAddress.get(record.address) ?? [])].filter((name) => {
      const other = vms.get(name)
      return other !== undefined && placeOf(other.address, networkOf(other)) === place
    })
  }

  async function read(kind: 'vm' | 'pool', name: string, state: { stale: boolean }): Promise<void> {
    try {
      while (state.stale) {
        state.stale = false
        if (kind === 'vm') putVm(name, (await store.get('vm', name))?.value)
        else putPool(name, (await store.get('pool', name))?.value)
      }
    } finally {
      // In the same turn as the last look at `stale`, so that no change falls between.
      reading.delete(`${kind}/${name}`)
    }
  }

  return {
    async load() {
      const [storedPools, storedVms] = [await store.list('pool'), await store.list('vm')]
      for (const name of pools.keys()) if (!storedPools.some((p) => p.name === name)) putPool(name, undefined)
      for (const { name, value } of storedPools) putPool(name, value)
      const names = new Set(storedVms.map((v) => v.name))
      for (const name of vms.keys()) if (!names.has(name)) putVm(name, undefined)
      for (const { name, value } of storedVms) putVm(name, value)
    },
    refresh(kind, name) {
      const key = `${kind}/${name}`
      const underWay = reading.get(key)
      if (underWay !== undefined) {
        underWay.stale = true
        return underWay.done
      }
      const state = { stale: true, done: Promise.resolve() }
      reading.set(key, state)
      state.done = read(kind, name, state)
      return state.done
    },
    vm: (name) => vms.get(name),
    vms: () => vms,
    pool: (name) => pools.get(name),
    pools: () => pools,
    networkOf,
    at,
    ownerOf(vm, record) {
      let owner = { vm, admittedAt: hasEntry(record.phase) ? record.admittedAt : -1 }
      for (const name of at(record)) {
        const other = vms.get(name)
        if (name === vm || other === undefined || !hasEntry(other.phase)) continue
        const isNewer = other.admittedAt - owner.admittedAt || (name > owner.vm ? 1 : -1)
        if (isNewer > 0) owner = { vm: name, admittedAt: other.admittedAt }
      }
      return owner.vm
    },
    otherEndpoints(vm, record) {
      const service = pools.get(record.pool)?.spec.service
      if (service === undefined) return 0
      let others = 0
      for (const [name, pool] of pools) {
        const isSame =
          pool.spec.service?.host === service.host &&
          pool.spec.namespace === pools.get(record.pool)?.spec.namespace
        if (!isSame) continue
        const ready = readyOf.get(name)
        others += (ready?.size ?? 0) - (ready?.has(vm) ? 1 : 0)
      }
      return others
    },
  }
}

/** How many VMs are in each phase. */
export function countPhases(records: Iterable<VmRecord>): Partial<Record<Phase, number>> {
  const counts: Partial<Record<Phase, number>> = {}
  for (const { phase } of records) counts[phase] = (counts[phase] ?? 0) + 1
  return counts
}

function add(index: Map<string, Set<string>>, at: string, name: string): void {
  index.set(at, (index.get(at) ?? new Set()).add(name))
}

function drop(index: Map<string, Set<string>>, at: string, name: string): void {
  const names = index.get(at)
  names?.delete(name)
  if (names?.size === 0) index.delete(at)
}
