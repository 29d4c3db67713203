import { isDeepStrictEqual } from 'node:util'
import type { PoolRecord } from '../records.ts'
import { poolFields, poolTimes } from './pool-codec.ts'
import { judgePools, type PoolRules, type PoolVerdict } from './pool-judgement.ts'
import type { CustomObject, StandardCondition } from './resources.ts'
import { createShelf, type Entry, type Shelf } from './shelf.ts'

/** What a Pool's object says beside its metadata. */
export interface PoolContent {
  readonly fields: Readonly<Record<string, unknown>>
  readonly status: Readonly<Record<string, unknown>> | undefined
  readonly times: Pick<PoolRecord, 'createdAt' | 'updatedAt'>
}

/** All Pools of the cluster, and which of them count. */
export interface PoolShelf {
  readonly raw: Shelf<PoolContent>
  get(name: string): Entry<PoolRecord> | undefined
  list(): readonly Entry<PoolRecord>[]
  /** Objects whose status does not say what was decided of them, with what it should say. */
  unsaid(now: number): readonly { readonly entry: Entry<PoolContent>; readonly status: object }[]
}

export function createPoolShelf(rules: PoolRules, changed: (name: string) => void): PoolShelf {
  let verdicts: ReadonlyMap<string, PoolVerdict> = new Map()
  let counting: ReadonlyMap<string, Entry<PoolRecord>> = new Map()
  let isStale = false
  const raw = createShelf<PoolContent>(() => {
    isStale = true
  })

  /** Each change may decide anew about any other pool. */
  function judge(): void {
    if (!isStale) return
    isStale = false
    const entries = [...raw.every()].sort((a, b) =>
      a.created < b.created ? -1 : a.created > b.created ? 1 : a.uid < b.uid ? -1 : 1,
    )
    verdicts = judgePools(
      entries.map(({ uid, name, namespace, value }) => ({
        uid,
        name,
        namespace,
        fields: value.fields,
        accepted: value.status?.accepted,
      })),
      rules,
    )
    const before = counting
    const after = new Map<string, Entry<PoolRecord>>()
    for (const entry of entries) {
      const spec = verdicts.get(entry.uid)?.spec
      if (spec === undefined) continue
      const value: PoolRecord = { spec, ...entry.value.times }
      const old = before.get(entry.name)?.value
      after.set(entry.name, {
        ...entry,
        value: old !== undefined && isDeepStrictEqual(old, value) ? old : value,
      })
    }
    counting = after
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(name)?.value !== after.get(name)?.value) changed(name)
    }
  }

  const judged =
    <A extends unknown[]>(change: (...args: A) => void) =>
    (...args: A) => {
      change(...args)
      judge()
    }

  return {
    raw: {
      ...raw,
      put: judged((entry) => {
        isStale = true
        raw.put(entry)
      }),
      gone: judged(raw.gone),
      removed: judged(raw.removed),
      replaced: judged((entries, version, namespace) => {
        isStale = true
        raw.replaced(entries, version, namespace)
      }),
    },
    get: (name) => counting.get(name),
    list: () => [...counting.values()],
    unsaid(now) {
      return [...raw.every()].flatMap((entry) => {
        const verdict = verdicts.get(entry.uid)
        const status = verdict && statusOf(entry, verdict, now)
        return status === undefined || isDeepStrictEqual(status, entry.value.status)
          ? []
          : [{ entry, status }]
      })
    },
  }
}

export function poolContent(object: CustomObject): PoolContent {
  return { fields: object.spec ?? {}, status: object.status, times: poolTimes(object) }
}

/** The status that says the verdict; other parts of it are left as they are. */
function statusOf(
  { value, generation }: Entry<PoolContent>,
  { spec, condition }: PoolVerdict,
  now: number,
): object {
  const conditions = (value.status?.conditions ?? []) as readonly StandardCondition[]
  const old = conditions.find(({ type }) => type === 'Accepted')
  const isNew = old?.status !== condition.status
  const fresh: StandardCondition = {
    type: 'Accepted',
    ...condition,
    lastTransitionTime: isNew || old === undefined ? new Date(now).toISOString() : old.lastTransitionTime,
    observedGeneration: generation,
  }
  return {
    ...value.status,
    observedGeneration: generation,
    conditions: [...conditions.filter(({ type }) => type !== 'Accepted'), fresh],
    ...(spec !== undefined && { accepted: poolFields(spec) }),
  }
}
