import { MooringError } from '../../../shared/errors.ts'
import { compareVersions } from '../../kubernetes/resource.ts'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { type KnownObject, refText } from './cluster-object.ts'

/** An object of ours is not, or is no longer, what was known of it: somebody else wrote it, or it is gone. */
export interface ObjectChange {
  readonly ref: ObjectRef
  /** What there is now. */
  readonly object: IstioObject | undefined
}

/**
 * What is known of our objects: by our own writes, and by what the watch tells. Either may come first, so versions
 * decide which is newer.
 */
export interface ObjectCache {
  get(ref: ObjectRef): KnownObject | undefined
  /** Runs a write of the object; what the watch tells meanwhile is judged when it is over. */
  writing<T>(ref: ObjectRef, write: () => Promise<T>): Promise<T>
  /** What a write or a read of our own found. */
  put(ref: ObjectRef, known: KnownObject): void
  /** We deleted it. */
  ended(ref: ObjectRef): void
  /** A write failed that may have been done: what is known counts for nothing but for telling changes. */
  doubt(ref: ObjectRef): void
  /** It was looked for and is not there, or not ours. */
  absent(ref: ObjectRef): void
  /** What the watch tells: the object, or that it ended at `version`. */
  observed(ref: ObjectRef, known: KnownObject | undefined, version: string): void
  /** A list that came after a broken thread does not hold it. */
  vanished(ref: ObjectRef): void
  /** Resolves when the watch has told what was last written by us, or something newer. */
  caughtUp(ref: ObjectRef, signal: AbortSignal): Promise<void>
}

export interface ObjectCacheDeps {
  readonly changed: (change: ObjectChange) => void
  /** Whether two objects say the same. */
  readonly same: (a: IstioObject, b: IstioObject) => boolean
}

interface Item {
  readonly ref: ObjectRef
  known: KnownObject | undefined
  /** Version of `known`, or the last before its end; empty when nothing is known. */
  version: string
  doubtful: boolean
  /** We deleted it, and the watch has not told so yet. */
  ended: boolean
  /** Newest version that the watch has told. */
  told: string
  writes: number
  held: { readonly known: KnownObject | undefined; readonly version: string } | undefined
  waiting: Set<() => void>
}

export function createObjectCache(deps: ObjectCacheDeps): ObjectCache {
  const items = new Map<string, Item>()

  function itemOf(ref: ObjectRef): Item {
    const key = refText(ref)
    const item = items.get(key) ?? {
      ref,
      known: undefined,
      version: '',
      doubtful: false,
      ended: false,
      told: '',
      writes: 0,
      held: undefined,
      waiting: new Set<() => void>(),
    }
    items.set(key, item)
    return item
  }

  function tidy(item: Item): void {
    if (item.known !== undefined || item.writes > 0 || item.waiting.size > 0) return
    if (!item.ended || isTold(item)) items.delete(refText(item.ref))
  }

  function isTold({ ended, told, version }: Item): boolean {
    if (version === '') return true
    if (told === '') return false
    return ended ? compareVersions(told, version) > 0 : compareVersions(told, version) >= 0
  }

  function judge(item: Item, known: KnownObject | undefined, version: string): void {
    if (item.version !== '' && compareVersions(version, item.version) <= 0) return
    const before = item.known
    item.known = known
    item.version = version
    item.doubtful = false
    item.ended = false
    const same =
      before === undefined || known === undefined
        ? before === known
        : before.uid === known.uid && deps.same(before.object, known.object)
    if (!same) deps.changed({ ref: item.ref, object: known?.object })
  }

  return {
    get(ref) {
      const item = items.get(refText(ref))
      return item?.doubtful ? undefined : item?.known
    },
    async writing(ref, write) {
      const item = itemOf(ref)
      item.writes += 1
      try {
        return await write()
      } finally {
        item.writes -= 1
        if (item.writes === 0 && item.held !== undefined) {
          const { known, version } = item.held
          item.held = undefined
          judge(item, known, version)
        }
        tidy(item)
      }
    },
    put(ref, known) {
      const item = itemOf(ref)
      if (item.version !== '' && compareVersions(known.resourceVersion, item.version) < 0) return
      item.known = known
      item.version = known.resourceVersion
      item.doubtful = false
      item.ended = false
    },
    ended(ref) {
      const item = itemOf(ref)
      item.known = undefined
      item.doubtful = false
      item.ended = item.version !== ''
      tidy(item)
    },
    doubt(ref) {
      const item = items.get(refText(ref))
      if (item !== undefined) item.doubtful = true
    },
    absent(ref) {
      const item = itemOf(ref)
      item.known = undefined
      item.version = ''
      item.doubtful = false
      item.ended = false
      tidy(item)
    },
    observed(ref, known, version) {
      const item = itemOf(ref)
      if (item.told === '' || compareVersions(version, item.told) > 0) item.told = version
      if (item.writes > 0) item.held = { known, version }
      else judge(item, known, version)
      for (const wake of [...item.waiting]) wake()
      tidy(item)
    },
    vanished(ref) {
      const item = itemOf(ref)
      // What is being written just now may be newer than the list.
      if (item.writes === 0 && item.known !== undefined) {
        item.known = undefined
        deps.changed({ ref, object: undefined })
      }
      item.version = ''
      for (const wake of [...item.waiting]) wake()
      tidy(item)
    },
    async caughtUp(ref, signal) {
      const item = itemOf(ref)
      while (!isTold(item)) {
        signal.throwIfAborted()
        await new Promise<void>((resolve, reject) => {
          const wake = () => {
            item.waiting.delete(wake)
            signal.removeEventListener('abort', cancel)
            resolve()
          }
          const cancel = () => {
            item.waiting.delete(wake)
            reject(signal.reason ?? new MooringError('MESH_LAGS'))
          }
          item.waiting.add(wake)
          signal.addEventListener('abort', cancel, { once: true })
        })
      }
      tidy(item)
    },
  }
}
