import { errorText } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { ObjectMeta } from '../../kubernetes/resource.ts'
import type { WatchListener } from '../../kubernetes/watch.ts'
import type { TokenRecord, VmRecord } from '../records.ts'
import type { Kind, Kinds } from '../resource-store.ts'
import { entryOf } from './entry.ts'
import type { PoolRules } from './pool-judgement.ts'
import { createPoolShelf, type PoolShelf, poolContent } from './pool-shelf.ts'
import { isRemovedVm, readRemovedVm } from './removed-vm.ts'
import { type CustomObject, finalizer, type SecretObject } from './resources.ts'
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
  /** VMs whose object is gone and whose key must be known as revoked. */
  readonly removedVms: Shelf<VmRecord>
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
  const removedVms = createShelf<VmRecord>((name) => changed('vm', name))
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
    removedVms,
    get<K extends Kind>(kind: K, name: string) {
      const key = `${kind}/${name}`
      const vm = () => vms.get(name) ?? removedVms.get(name)
      const own = kind === 'pool' ? pools.get(name) : kind === 'vm' ? vm() : secrets.get(key)
      return own && (whole(key, own) as Entry<Kinds[K]>)
    },
    list<K extends Kind>(kind: K) {
      const named = (entries: Iterable<Entry<unknown>>, from: number) =>
        [...entries].map((entry) => ({
          name: entry.key.slice(from),
          entry: whole(entry.key, entry) as Entry<Kinds[K]>,
        }))
      if (kind === 'pool') return named(pools.list(), 0)
      if (kind === 'vm') {
        const removed = [...removedVms.list()].filter(({ key }) => vms.get(key) === undefined)
        return named([...vms.list(), ...removed], 0)
      }
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
      intake(removedVms, (object: SecretObject) => {
        const { vm, record } = readRemovedVm(object)
        return entryOf(object.metadata, vm, record)
      }),
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

/** Each Secret to its shelf; pages before others, so that no token is told of without uses that are known. */
function sorted(
  removed: Intake<SecretObject>,
  pages: Intake<SecretObject>,
  others: Intake<SecretObject>,
): Intake<SecretObject> {
  const all = [removed, pages, others]
  const of = (item: SecretObject) => (isRemovedVm(item) ? removed : isPage(item) ? pages : others)
  const listener: WatchListener<SecretObject> = {
    replaced(items, version) {
      const parts = all.map((intake) => [intake, items.filter((item) => of(item) === intake)] as const)
      for (const [intake, own] of parts) intake.replaced(own, version)
    },
    changed: (item) => of(item).changed(item),
    gone: (item) => of(item).gone(item),
  }
  return {
    ...listener,
    removed: (uid) => {
      for (const intake of all) intake.removed(uid)
    },
    within: () => listener,
  }
}

/** One that only waits for somebody else's finalizer is gone for the store. */
function isThere({ metadata }: { readonly metadata: ObjectMeta }): boolean {
  return metadata.deletionTimestamp === undefined || (metadata.finalizers?.includes(finalizer) ?? false)
}

function split(key: string): [SecretKind, string] {
  const slash = key.indexOf('/')
  return [key.slice(0, slash) as SecretKind, key.slice(slash + 1)]
}
