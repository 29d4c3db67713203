import { isDeepStrictEqual } from 'node:util'
import { compareVersions, type ObjectMeta } from '../../kubernetes/resource.ts'

/** One object of the API server, as far as the store needs it. */
export interface Entry<V> {
  /** Of the resource in the store: unique there, but not in the cluster. */
  readonly key: string
  readonly value: V
  readonly uid: string
  readonly version: string
  readonly generation: number
  /** RFC 3339. */
  readonly created: string
  /** Since when it is to go, RFC 3339; it waits for a finalizer. */
  readonly deleting?: string
  readonly namespace: string
  readonly name: string
  /** What others put on the object, and a replacement must keep. */
  readonly kept: Pick<ObjectMeta, 'labels' | 'annotations' | 'finalizers' | 'ownerReferences'>
}

/**
 * Objects as last seen, from a watch and from the answers to own writes, which come in any order: the newer
 * version stands. Of objects with one key the oldest counts.
 */
export interface Shelf<V> {
  get(key: string): Entry<V> | undefined
  /** Those that count. */
  list(): Iterable<Entry<V>>
  /** Also those whose key an older one has. */
  every(): Iterable<Entry<V>>
  put(entry: Entry<V>): void
  /** Somebody's removal was seen. */
  gone(uid: string): void
  /** This controller removed it: what the watch still tells of it is late. */
  removed(uid: string): void
  /** All that was there as of `version`, of the namespace or of all. */
  replaced(entries: readonly Entry<V>[], version: string, namespace?: string): void
}

/** `changed` is called for each key whose counting value is another one than before. */
export function createShelf<V>(changed: (key: string) => void): Shelf<V> {
  const byUid = new Map<string, Entry<V>>()
  const byKey = new Map<string, readonly Entry<V>[]>()
  /** Removed here, by uid, with their namespace. */
  const buried = new Map<string, string>()

  function set(key: string, entries: readonly Entry<V>[]): void {
    const before = byKey.get(key)?.[0]?.value
    if (entries.length === 0) byKey.delete(key)
    else byKey.set(key, entries.length === 1 ? entries : entries.toSorted(olderFirst))
    if (byKey.get(key)?.[0]?.value !== before) changed(key)
  }

  function others(entry: Entry<V>): readonly Entry<V>[] {
    return (byKey.get(entry.key) ?? []).filter((other) => other.uid !== entry.uid)
  }

  function drop(uid: string): void {
    const entry = byUid.get(uid)
    if (entry === undefined) return
    byUid.delete(uid)
    set(entry.key, others(entry))
  }

  function put(entry: Entry<V>): void {
    if (buried.has(entry.uid)) return
    const old = byUid.get(entry.uid)
    if (old !== undefined && compareVersions(entry.version, old.version) <= 0) return
    // Readers compare by identity: what says the same stays the same.
    const isSame = old !== undefined && isDeepStrictEqual(old.value, entry.value)
    const fresh = isSame ? { ...entry, value: old.value } : { ...entry, value: frozen(entry.value) }
    byUid.set(entry.uid, fresh)
    set(entry.key, [...others(entry), fresh])
  }

  return {
    get: (key) => byKey.get(key)?.[0],
    *list() {
      for (const [first] of byKey.values()) if (first !== undefined) yield first
    },
    every: () => byUid.values(),
    put,
    gone(uid) {
      buried.delete(uid)
      drop(uid)
    },
    removed(uid) {
      const entry = byUid.get(uid)
      if (entry === undefined) return
      buried.set(uid, entry.namespace)
      drop(uid)
    },
    replaced(entries, version, namespace) {
      const present = new Set(entries.map(({ uid }) => uid))
      const isListed = (of: string) => namespace === undefined || of === namespace
      for (const [uid, of] of buried) if (isListed(of) && !present.has(uid)) buried.delete(uid)
      for (const entry of [...byUid.values()]) {
        if (!isListed(entry.namespace)) continue
        // One that is newer than the list was made by this controller while the list was under way.
        if (!present.has(entry.uid) && compareVersions(entry.version, version) <= 0) drop(entry.uid)
      }
      for (const entry of entries) put(entry)
    },
  }
}

function olderFirst<V>(a: Entry<V>, b: Entry<V>): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1
  return a.uid < b.uid ? -1 : 1
}

/** Readers share one object: nobody may change it in place. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}
