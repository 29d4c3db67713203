import type { Effects } from '../effects.ts'
import type { IstioObject, Mesh, ObjectRef } from '../mesh/mesh.ts'
import { refOf } from '../mesh/objects.ts'
import { healthOf } from './plan.ts'
import type { Held } from './situation.ts'

/**
 * What Mooring has written into the mesh, known without asking it each time. Everything that the fleet
 * writes goes through here.
 */
export interface Inventory {
  /** Reads everything anew; what is written meanwhile is not taken back by it. */
  load(signal: AbortSignal): Promise<void>
  held(ref: ObjectRef): Held
  objects(): readonly IstioObject[]
  /** Of everything that is or may be there. */
  refs(): readonly ObjectRef[]
  /** References of the WorkloadEntries of that name, in any namespace. */
  entriesNamed(name: string): readonly ObjectRef[]
  /** References of the WorkloadEntries at that place; see `placeOf`. */
  entriesAt(place: string): readonly ObjectRef[]
  applyEntry(object: IstioObject, signal: AbortSignal): Promise<void>
  removeEntry(ref: ObjectRef, stale: boolean, signal: AbortSignal): Promise<void>
  applyEviction(object: IstioObject, signal: AbortSignal): Promise<void>
  liftEviction(ref: ObjectRef, signal: AbortSignal): Promise<void>
  applyPoolObject(object: IstioObject, signal: AbortSignal): Promise<void>
  removePoolObject(ref: ObjectRef, signal: AbortSignal): Promise<void>
  /** Somebody else wrote or deleted it: what there is now. */
  observed(ref: ObjectRef, object: IstioObject | undefined): void
}

export interface InventoryDeps {
  readonly mesh: Mesh
  readonly effects: Effects
}

/** Where an address is unique: two networks may use the same ones. */
export function placeOf(address: string, network: string): string {
  return `${network}|${address}`
}

interface Item {
  readonly ref: ObjectRef
  readonly held: IstioObject | 'unknown'
  readonly place: string | undefined
}

export function createInventory(deps: InventoryDeps): Inventory {
  const { mesh, effects } = deps
  const items = new Map<string, Item>()
  const byName = new Map<string, Set<string>>()
  const byPlace = new Map<string, Set<string>>()
  /** When each key was last written, by a count that grows: a list that was begun earlier knows less. */
  const writtenAt = new Map<string, number>()
  let writes = 0
  /** Writes under way, and whether somebody else's came in between. */
  const underWay = new Map<string, { disturbed: boolean }>()

  function put(ref: ObjectRef, held: IstioObject | 'unknown' | undefined): void {
    const key = keyOf(ref)
    const old = items.get(key)
    unlink(byName, old?.ref.name, key)
    unlink(byPlace, old?.place, key)
    if (held === undefined) {
      items.delete(key)
      return
    }
    // A write that failed may have been done: the entry counts at its old place until that is known.
    const place = held === 'unknown' ? old?.place : entryPlace(held)
    items.set(key, { ref, held, place })
    if (ref.kind === 'WorkloadEntry') {
      link(byName, ref.name, key)
      if (place !== undefined) link(byPlace, place, key)
    }
  }

  async function change(ref: ObjectRef, after: IstioObject | undefined, write: () => Promise<void>) {
    const key = keyOf(ref)
    const own = { disturbed: false }
    underWay.set(key, own)
    note(key)
    try {
      await write()
      put(ref, own.disturbed ? 'unknown' : after)
    } catch (error) {
      put(ref, 'unknown')
      throw error
    } finally {
      if (underWay.get(key) === own) underWay.delete(key)
      note(key)
    }
  }

  function note(key: string): void {
    writes += 1
    writtenAt.set(key, writes)
  }

  const refsOf = (keys: Set<string> | undefined) =>
    [...(keys ?? [])].flatMap((key) => {
      const item = items.get(key)
      return item === undefined ? [] : [item.ref]
    })

  return {
    async load(signal) {
      const begun = writes
      const found = new Map((await mesh.list(signal)).map((object) => [keyOf(refOf(object)), object]))
      const isNewer = (key: string) => (writtenAt.get(key) ?? 0) > begun
      for (const [key, item] of items) if (!found.has(key) && !isNewer(key)) put(item.ref, undefined)
      for (const [key, object] of found) if (!isNewer(key)) put(refOf(object), object)
      for (const [key, at] of writtenAt) if (at <= begun) writtenAt.delete(key)
    },
    held: (ref) => items.get(keyOf(ref))?.held,
    objects: () => [...items.values()].flatMap(({ held }) => (held === 'unknown' ? [] : [held])),
    refs: () => [...items.values()].map((item) => item.ref),
    entriesNamed: (name) => refsOf(byName.get(name)),
    entriesAt: (place) => refsOf(byPlace.get(place)),
    applyEntry(object, signal) {
      const old = items.get(keyOf(refOf(object)))?.held
      const closes = (old === 'unknown' || (old && healthOf(old) === 'open')) && healthOf(object) !== 'open'
      const name = closes ? 'entry-closed' : 'entry-applied'
      return change(refOf(object), object, () => effects.run(name, () => mesh.apply(object, signal)))
    },
    removeEntry(ref, stale, signal) {
      const name = stale ? 'stale-entry-removed' : 'entry-removed'
      return change(ref, undefined, () => effects.run(name, () => mesh.remove(ref, signal)))
    },
    applyEviction: (object, signal) =>
      change(refOf(object), object, () => effects.run('eviction-applied', () => mesh.apply(object, signal))),
    liftEviction: (ref, signal) =>
      change(ref, undefined, () => effects.run('eviction-lifted', () => mesh.remove(ref, signal))),
    applyPoolObject: (object, signal) =>
      change(refOf(object), object, () =>
        effects.run('pool-objects-applied', () => mesh.apply(object, signal)),
      ),
    removePoolObject: (ref, signal) =>
      change(ref, undefined, () => effects.run('pool-objects-removed', () => mesh.remove(ref, signal))),
    observed(ref, object) {
      const key = keyOf(ref)
      const own = underWay.get(key)
      // Which of the two writes was the last is known when the object is written again.
      if (own !== undefined) own.disturbed = true
      else put(ref, object)
      note(key)
    },
  }
}

/** One text for a reference, to be used as a key. */
export function keyOf(ref: ObjectRef): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`
}

function entryPlace(object: IstioObject): string | undefined {
  if (object.kind !== 'WorkloadEntry') return undefined
  const { address, network } = object.spec as { address?: unknown; network?: unknown }
  return placeOf(String(address), typeof network === 'string' ? network : '')
}

function link(index: Map<string, Set<string>>, at: string, key: string): void {
  index.set(at, (index.get(at) ?? new Set()).add(key))
}

function unlink(index: Map<string, Set<string>>, at: string | undefined, key: string): void {
  if (at === undefined) return
  const keys = index.get(at)
  keys?.delete(key)
  if (keys?.size === 0) index.delete(at)
}
