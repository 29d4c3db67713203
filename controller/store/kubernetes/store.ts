import type { PoolCondition } from '../../../shared/api/operator.ts'
import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { ResourceType } from '../../kubernetes/resource.ts'
import { createWatch, type Watch, type WatchHealth, type WatchListener } from '../../kubernetes/watch.ts'
import type { Kind, Kinds, ResourceStore, Stored } from '../resource-store.ts'
import type { PoolRules } from './pool-judgement.ts'
import { remaining } from './removal.ts'
import { createRemover } from './remover.ts'
import {
  type CustomObject,
  kindLabel,
  pools,
  type SecretObject,
  secrets,
  virtualMachines,
} from './resources.ts'
import type { Entry } from './shelf.ts'
import { createShelves, type Intake } from './shelves.ts'
import { createTokenWriter } from './token-writer.ts'
import { createWriter } from './writer.ts'

export interface KubernetesStoreDeps {
  readonly client: Client
  /** Of the controller: where its Secrets are. */
  readonly namespace: string
  /** Where pools and VMs are looked for. @defaultValue all namespaces */
  readonly namespaces?: readonly string[]
  /** What the API's routes check of a pool, for those that kubectl writes. */
  readonly rules: PoolRules
  /** Whether this replica writes what was decided of pools into their status. @defaultValue it does */
  readonly speaks?: () => boolean
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly timing?: { readonly took: (seconds: number) => void }
}

export interface KubernetesStore extends ResourceStore {
  /** Of its watches: what is read is complete as of `asOf`. */
  health(): readonly (WatchHealth & { readonly part: string })[]
  /** What is said of a pool in its status. */
  poolConditions(name: string): readonly PoolCondition[]
  /** It `speaks` from now on: what was decided meanwhile is to be said. */
  speak(): void
}

/**
 * The store of the Kubernetes mode. Reads come from memory, which watches keep up to date and own writes bring up at
 * once; while the API server is away they go on, and writes throw `STORE_UNAVAILABLE`. Resolves when all is read;
 * keeps trying until then, or until aborted.
 */
export async function createKubernetesStore(
  deps: KubernetesStoreDeps,
  signal: AbortSignal,
): Promise<KubernetesStore> {
  const { client, namespace, clock, random } = deps
  const log = deps.log.child({ part: 'store' })
  const listeners = new Set<(kind: Kind, name: string) => void>()
  const stop = new AbortController()
  const news = createBell()
  stop.signal.addEventListener('abort', news.ring, { once: true })

  const shelves = createShelves({ rules: deps.rules, changed: tell, log })
  const tokens = createTokenWriter({ client, shelves, namespace })
  const remover = createRemover({ client, shelves, namespace })
  const write = createWriter({ client, shelves, tokens, remover, namespace, log })
  const shared = { client, clock, log, random }
  const watches: readonly (readonly [string, Watch])[] = [
    [
      'secrets',
      createWatch<SecretObject>({
        ...shared,
        type: secrets,
        scope: { namespace, labels: kindLabel },
        listener: shelves.secretObjects,
      }),
    ],
    ...objectWatches('pools', pools, shelves.poolObjects),
    ...objectWatches('vms', virtualMachines, shelves.vmObjects),
  ]

  /** One watch for all namespaces, or one for each that pools may be in. */
  function objectWatches(part: string, type: ResourceType, intake: Intake<CustomObject>) {
    const { namespaces: places = [] } = deps
    if (places.length === 0) {
      return [
        [part, createWatch<CustomObject>({ ...shared, type, listener: ringing(type, intake) })] as const,
      ]
    }
    return places.map((place) => {
      const of = { scope: { namespace: place }, listener: ringing(type, intake.within(place)) }
      return [`${part} of ${place}`, createWatch<CustomObject>({ ...shared, type, ...of })] as const
    })
  }

  function ringing(type: ResourceType, of: WatchListener<CustomObject>): WatchListener<CustomObject> {
    // VMs change all the time, and matter only to what is being deleted.
    const ring = (items: readonly CustomObject[]) => {
      const matters = type === pools || items.some(isDeleting) || shelves.pools.isDeleting()
      if (matters) news.ring()
    }
    return {
      replaced(items, version) {
        of.replaced(items, version)
        ring(items)
      },
      changed(item) {
        of.changed(item)
        ring([item])
      },
      gone(item) {
        of.gone(item)
        ring([item])
      },
    }
  }

  function tell(kind: Kind, name: string): void {
    for (const listener of listeners) {
      try {
        listener(kind, name)
      } catch (error) {
        log.error('a listener of the store failed', { error: errorText(error) })
      }
    }
  }

  /** Tells those who wrote a pool what became of it, and lets go what was deleted. */
  async function follow(): Promise<void> {
    const backoff = createBackoff({ baseMs: 500, maxMs: 30_000, random })
    const listen = createBackoff({ floorMs: 2_000, baseMs: 5_000, maxMs: 5_000, random })
    for (;;) {
      await news.next()
      if (stop.signal.aborted) return
      if (!(deps.speaks?.() ?? true)) {
        // Nothing tells of a change of that, and what is to be said then may be old.
        await clock.sleep(listen.next(), stop.signal).catch(() => {})
        news.ring()
        continue
      }
      try {
        await remover.follow(write)
        const membersOf = (pool: string) => remaining(pool, shelves.vms.list())
        for (const { entry, status } of shelves.pools.unsaid(clock.now(), membersOf)) {
          const { name, version: resourceVersion } = entry
          const object = {
            metadata: { name, namespace: entry.namespace, resourceVersion },
            spec: entry.value.fields,
            status,
          } as CustomObject
          shelves.poolObjects.changed(
            await client.replace(pools, object, { subresource: 'status', signal: stop.signal }),
          )
        }
        backoff.reset()
      } catch (error) {
        if (stop.signal.aborted) return
        // Somebody else changed it: the watch will tell, and ring.
        if (isMooringError(error, 'CONFLICT') || isMooringError(error, 'NOT_FOUND')) continue
        log.warn('what became of a pool or VM was not written and is tried again', {
          error: errorText(error),
        })
        await clock.sleep(backoff.next(), stop.signal).catch(() => {})
        news.ring()
      }
    }
  }

  const running = watches.map(([, watch]) => watch.run(stop.signal))
  try {
    await Promise.race([Promise.all(watches.map(([, watch]) => watch.listed)), untilAborted(signal)])
  } catch (error) {
    stop.abort()
    await Promise.all(running)
    throw error
  }
  await tokens.sweep().catch((error: unknown) => {
    log.warn('uses of removed tokens were not swept', { error: errorText(error) })
  })
  const following = follow()
  news.ring()

  return {
    async get<K extends Kind>(kind: K, name: string) {
      const entry = shelves.get(kind, name)
      return entry && stored(kind, name, entry)
    },
    async list<K extends Kind>(kind: K) {
      return shelves.list(kind).map(({ name, entry }) => stored(kind, name, entry))
    },
    async commit(writes) {
      if (stop.signal.aborted) throw new MooringError('STORE_UNAVAILABLE', { detail: 'the store is closed' })
      const began = clock.now()
      for (const one of writes) await write(one)
      if (writes.length > 0) deps.timing?.took((clock.now() - began) / 1000)
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    poolConditions: shelves.pools.conditions,
    speak: news.ring,
    health: () => watches.map(([part, watch]) => ({ part, ...watch.health() })),
    async close() {
      listeners.clear()
      stop.abort()
      await Promise.all([...running, following])
    },
  }
}

function stored<K extends Kind>(kind: K, name: string, { version, value }: Entry<Kinds[K]>): Stored<K> {
  return { kind, name, version, value }
}

/** Rung any number of times before somebody waits, it is heard once. */
function createBell() {
  let bell = Promise.withResolvers<void>()
  return {
    ring: () => bell.resolve(),
    async next(): Promise<void> {
      await bell.promise
      bell = Promise.withResolvers<void>()
    },
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function isDeleting({ metadata }: CustomObject): boolean {
  return metadata.deletionTimestamp !== undefined
}
