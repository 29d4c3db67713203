import { errorText } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { ObjectMeta } from '../../kubernetes/resource.ts'
import type { WatchListener } from '../../kubernetes/watch.ts'
import type { TokenRecord, VmRecord } from '../records.ts'
import type { Kind, Kinds } from '../resource-store.ts'
import { entryOf } from './entry.ts'
import type { PoolRules } from './pool-judgement.ts'
import { createPoolShelf, type PoolShelf, poolContent } from './pool-shelf.ts'
import type { CustomObject, SecretObject } from './resources.ts'
import { isPage, readPage, readSecret, type SecretKind } from './secret-codec.ts'
import { createShelf, type Entry, type Shelf } from './shelf.ts'
import { createTokenShelf, pageKey, type TokenShelf } from './token-shelf.ts'
import { vmRecord } from './vm-codec.ts'

export interface ShelvesDeps {
  readonly rules: PoolRules
  readonly changed: (kind: Kind, name: string) => void
  readonly log: Log
}

/** Everything that the store holds, as last seen. */
export interface Shelves {
  readonly pools: PoolShelf
  readonly vms: Shelf<VmRecord>
  readonly secrets: Shelf<Kinds[SecretKind]>
  readonly tokens: TokenShelf
  get<K extends Kind>(kind: K, name: string): Entry<Kinds[K]> | undefined
  list<K extends Kind>(kind: K): readonly { readonly name: string; readonly entry: Entry<Kinds[K]> }[]
  /** Takes in objects, of a watch or of an answer to a write. */
  readonly poolObjects: Intake<CustomObject>
  readonly vmObjects: Intake<CustomObject>
  readonly secretObjects: Intake<SecretObject>
}

export interface Intake<T> extends WatchListener<T> {
  /** This controller removed it. */
  removed(uid: string): void
  /** For a watch of one namespace. */
  within(namespace: string): WatchListener<T>
}

export function createShelves(deps: ShelvesDeps): Shelves {
  const { changed, log } = deps
  const pools = createPoolShelf(deps.rules, (name) => changed('pool', name))
  const vms = createShelf<VmRecord>((name) => changed('vm', name))
  const secrets = createShelf<Kinds[SecretKind]>((key) => {
    const [kind, name] = split(key)
    changed(kind, name)
  })
  const tokens = createTokenShelf((name) => changed('token', name))

  /** Nothing of an object that cannot be read is taken in: what was known of it stands. */
  function intake<T extends { readonly metadata: ObjectMeta }, V>(
    shelf: Shelf<V>,
    read: (object: T) => Entry<V>,
  ): Intake<T> {
    const tried = (object: T): readonly Entry<V>[] => {
      try {
        return [read(object)]
      } catch (error) {
        const { namespace, name } = object.metadata
        log.error('an object in the cluster cannot be read and is passed over', {
          object: `${namespace}/${name}`,
          error: errorText(error),
        })
        return []
      }
    }
    const known = (uid: string) => [...shelf.every()].find((entry) => entry.uid === uid)
    function replaced(items: readonly T[], version: string, namespace?: string): void {
      const entries = items.filter(isThere).flatMap((item) => {
        const [entry = known(item.metadata.uid ?? '')] = tried(item)
        return entry === undefined ? [] : [entry]
      })
      shelf.replaced(entries, version, namespace)
    }
    const each = {
      changed(item: T) {
        if (!isThere(item)) shelf.gone(item.metadata.uid ?? '')
        else for (const entry of tried(item)) shelf.put(entry)
      },
      gone: (item: T) => shelf.gone(item.metadata.uid ?? ''),
    }
    return {
      ...each,
      replaced: (items, version) => replaced(items, version),
      removed: shelf.removed,
      within: (namespace) => ({
        ...each,
        replaced: (items, version) => replaced(items, version, namespace),
      }),
    }
  }

  /** A token's own Secret says nothing of the uses on its pages. */
  function whole(key: string, entry: Entry<unknown>): Entry<unknown> {
    if (!key.startsWith('token/')) return entry
    return tokens.whole(entry as Entry<TokenRecord>, key.slice('token/'.length))
  }

  return {
    pools,
    vms,
    secrets,
    tokens,
    get<K extends Kind>(kind: K, name: string) {
      const key = `${kind}/${name}`
      const own = kind === 'pool' ? pools.get(name) : kind === 'vm' ? vms.get(name) : secrets.get(key)
      return own && (whole(key, own) as Entry<Kinds[K]>)
    },
    list<K extends Kind>(kind: K) {
      const named = (entries: Iterable<Entry<unknown>>, from: number) =>
        [...entries].map((entry) => ({
          name: entry.key.slice(from),
          entry: whole(entry.key, entry) as Entry<Kinds[K]>,
        }))
      if (kind === 'pool') return named(pools.list(), 0)
      if (kind === 'vm') return named(vms.list(), 0)
      const prefix = `${kind}/`
      return named(
        [...secrets.list()].filter(({ key }) => key.startsWith(prefix)),
        prefix.length,
      )
    },
    poolObjects: intake(pools.raw, (object: CustomObject) =>
      entryOf(object.metadata, object.metadata.name, poolContent(object)),
    ),
    vmObjects: intake(vms, (object: CustomObject) =>
      entryOf(object.metadata, object.metadata.name, vmRecord(object)),
    ),
    secretObjects: sorted(
      intake(tokens.pages, (object: SecretObject) => {
        const page = readPage(object)
        return entryOf(object.metadata, pageKey(page.token, page.page), page)
      }),
      intake(secrets, (object: SecretObject) => {
        const { kind, name, value } = readSecret(object)
        return entryOf(object.metadata, `${kind}/${name}`, value)
      }),
    ),
  }
}

/** Pages first, so that no token is told of without uses that are known. */
function sorted(pages: Intake<SecretObject>, others: Intake<SecretObject>): Intake<SecretObject> {
  const of = (item: SecretObject) => (isPage(item) ? pages : others)
  const listener: WatchListener<SecretObject> = {
    replaced(items, version) {
      const [forPages, forOthers] = [items.filter(isPage), items.filter((item) => !isPage(item))]
      pages.replaced(forPages, version)
      others.replaced(forOthers, version)
    },
    changed: (item) => of(item).changed(item),
    gone: (item) => of(item).gone(item),
  }
  return {
    ...listener,
    removed(uid) {
      pages.removed(uid)
      others.removed(uid)
    },
    within: () => listener,
  }
}

/** One that only waits for somebody's finalizer is gone for the store. */
function isThere({ metadata }: { readonly metadata: ObjectMeta }): boolean {
  return metadata.deletionTimestamp === undefined
}

function split(key: string): [SecretKind, string] {
  const slash = key.indexOf('/')
  return [key.slice(0, slash) as SecretKind, key.slice(slash + 1)]
}
