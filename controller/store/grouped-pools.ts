import { isDeepStrictEqual } from 'node:util'
import type { PoolSpec } from '../../shared/api/operator.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { type GroupSpec, withGroup } from '../mesh/kubernetes/workload-group.ts'
import type { PoolRecord } from './records.ts'
import type { Kind, Kinds, ResourceStore, Stored } from './resource-store.ts'

/** Pools as they are in force: what they leave open is as their WorkloadGroup says. */
export interface GroupedPools {
  /** The store with such pools, and with word of what a group changes in them. Pools are not written through it. */
  readonly store: ResourceStore
  current(): ReadonlyMap<string, PoolRecord>
  /** A WorkloadGroup was made, changed or deleted. */
  groupChanged(namespace: string, name: string): void
  close(): void
}

export interface GroupedPoolsDeps {
  readonly store: ResourceStore
  readonly group: (namespace: string, name: string) => GroupSpec | undefined
  /** Throws for a spec that cannot be used. */
  readonly check: (name: string, spec: PoolSpec) => void
  readonly log: Log
}

interface Merged {
  readonly group: GroupSpec
  readonly record: PoolRecord
}

export async function createGroupedPools(deps: GroupedPoolsDeps): Promise<GroupedPools> {
  const { store, check, log } = deps
  const listeners = new Set<(kind: Kind, name: string) => void>()
  /** By what is stored, so that what says the same stays the same object: readers compare by identity. */
  const known = new WeakMap<PoolRecord, Merged>()
  let pools: ReadonlyMap<string, PoolRecord> = new Map()

  function inForce(name: string, stored: PoolRecord): PoolRecord {
    const { workloadGroup, namespace } = stored.spec
    const group = workloadGroup === undefined ? undefined : deps.group(namespace, workloadGroup)
    if (group === undefined) return stored
    const before = known.get(stored)
    if (before?.group === group) return before.record
    const spec = usable(name, stored.spec, group)
    const record =
      before !== undefined && isDeepStrictEqual(before.record.spec, spec)
        ? before.record
        : { ...stored, spec }
    known.set(stored, { group, record })
    return record
  }

  function usable(name: string, spec: PoolSpec, group: GroupSpec): PoolSpec {
    const merged = withGroup(spec, group)
    try {
      check(name, merged)
      return merged
    } catch (error) {
      log.warn('a pool is in force without what its WorkloadGroup says', {
        pool: name,
        error: errorText(error),
      })
      return spec
    }
  }

  function shown<K extends Kind>(stored: Stored<K>): Stored<K> {
    if (stored.kind !== 'pool') return stored
    const value = inForce(stored.name, stored.value as PoolRecord)
    return { ...stored, value: value as Kinds[K] }
  }

  async function read(): Promise<void> {
    pools = new Map((await store.list('pool')).map(({ name, value }) => [name, value]))
  }

  const stop = store.onChange((kind) => {
    if (kind === 'pool') void read()
  })
  await read()

  return {
    store: {
      ...store,
      get: async <K extends Kind>(kind: K, name: string) => {
        const stored = await store.get(kind, name)
        return stored && shown(stored)
      },
      list: async <K extends Kind>(kind: K) => (await store.list(kind)).map(shown),
      onChange(listener) {
        const end = store.onChange(listener)
        listeners.add(listener)
        return () => {
          end()
          listeners.delete(listener)
        }
      },
    },
    current: () => new Map([...pools].map(([name, stored]) => [name, inForce(name, stored)])),
    groupChanged(namespace, group) {
      for (const [name, { spec }] of pools) {
        if (spec.namespace !== namespace || spec.workloadGroup !== group) continue
        for (const listener of listeners) listener('pool', name)
      }
    },
    close: stop,
  }
}
