import { isDeepStrictEqual } from 'node:util'
import { Value } from 'typebox/value'
import { PoolCondition } from '../../../shared/api/operator.ts'
import type { PoolRecord } from '../records.ts'
import { poolFields, poolTimes } from './pool-codec.ts'
import { judgePools, type PoolRules, type PoolVerdict } from './pool-judgement.ts'
import { type CustomObject, poolLabel, type StandardCondition } from './resources.ts'
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
  /** What is said of the pool that counts, by whomever. */
  conditions(name: string): readonly PoolCondition[]
  /** Whether one of them waits to go. */
  isDeleting(): boolean
  /** Objects whose status does not say what was decided of them, with what it should say. */
  unsaid(
    now: number,
    remaining: (pool: string) => readonly string[],
  ): readonly { readonly entry: Entry<PoolContent>; readonly status: object }[]
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
    conditions(name) {
      const uid = counting.get(name)?.uid
      const status = uid && [...raw.every()].find((entry) => entry.uid === uid)?.value.status
      const conditions = status ? status.conditions : undefined
      return Array.isArray(conditions) ? conditions.map(poolCondition).filter((one) => one !== undefined) : []
    },
    isDeleting: () => [...raw.every()].some(({ deleting }) => deleting !== undefined),
    unsaid(now, remaining) {
      return [...raw.every()].flatMap((entry) => {
        const verdict = verdicts.get(entry.uid)
        const held = entry.deleting === undefined ? undefined : remaining(entry.name)
        const status = verdict && statusOf(entry, verdict, held, now)
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

/** Undefined for what is none. */
function poolCondition(said: unknown): PoolCondition | undefined {
  const { lastTransitionTime, type, status, reason = '', message = '' } = said as StandardCondition
  const condition = { type, status, reason, message, since: Date.parse(lastTransitionTime) }
  return Value.Check(PoolCondition, condition) ? condition : undefined
}

/** The status that says the verdict, and what a deletion waits for; other parts of it are left as they are. */
function statusOf(
  { value, generation, name }: Entry<PoolContent>,
  { spec, condition }: PoolVerdict,
  held: readonly string[] | undefined,
  now: number,
): object {
  const conditions = (value.status?.conditions ?? []) as readonly StandardCondition[]
  const wanted = [
    { type: 'Accepted', ...condition },
    ...(held === undefined ? [] : [{ type: 'Deleting', ...deletion(name, held) }]),
  ]
  const types = new Set(wanted.map(({ type }) => type))
  const fresh = wanted.map((one): StandardCondition => {
    const old = conditions.find(({ type }) => type === one.type)
    const isNew = old?.status !== one.status
    const since = isNew || old === undefined ? new Date(now).toISOString() : old.lastTransitionTime
    return { ...one, lastTransitionTime: since, observedGeneration: generation }
  })
  return {
    ...value.status,
    observedGeneration: generation,
    conditions: [...conditions.filter(({ type }) => !types.has(type)), ...fresh],
    ...(spec !== undefined && { accepted: poolFields(spec) }),
  }
}

const mostNamed = 5

function deletion(name: string, held: readonly string[]) {
  if (held.length === 0) return { status: 'True', reason: 'NoVms', message: 'its last VM has left' }
  const some = held.slice(0, mostNamed).join(', ')
  const more = held.length > mostNamed ? ` and ${held.length - mostNamed} more` : ''
  const way = `kubectl delete vm -l ${poolLabel}=${name} removes them`
  const message = `it stays in force, and lets nobody in any more, until its VMs left: ${some}${more}; ${way}`
  return { status: 'True', reason: 'HasVms', message }
}
