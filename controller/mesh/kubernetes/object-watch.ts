import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import { fullName, type Scope } from '../../kubernetes/resource.ts'
import { createWatch, type Watch, type WatchListener } from '../../kubernetes/watch.ts'
import { type ObjectKind, type ObjectRef, objectKinds } from '../mesh.ts'
import { type ClusterObject, knownObject, parseObject, refText } from './cluster-object.ts'
import type { EntryPlaces } from './entry-places.ts'
import type { ObjectCache } from './object-cache.ts'
import { isOwn, ownSelector } from './ownership.ts'
import type { ForeignSidecar } from './pool-faults.ts'
import { meshTypes } from './resource-types.ts'
import { type GroupSpec, readGroup } from './workload-group.ts'

/** Follows our objects, and of others' what pools depend on: Sidecars, WorkloadGroups, and entries at VMs' addresses. */
export interface ObjectWatch {
  /** Until aborted. */
  run(signal: AbortSignal): Promise<void>
  /** Resolves when everything was listed once. */
  readonly listed: Promise<unknown>
  sidecars(): Iterable<ForeignSidecar>
  /** A WorkloadGroup that is not ours. */
  group(namespace: string, name: string): GroupSpec | undefined
  /** Why something is not followed just now. */
  fault(): string | undefined
}

export interface ObjectWatchDeps {
  readonly client: Client
  readonly cache: ObjectCache
  readonly places: EntryPlaces
  readonly owner: string
  /** Which namespaces pools may be in; empty for all. */
  readonly namespaces: readonly string[]
  /** Where policies hold for the whole mesh. */
  readonly rootNamespace: string
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** An object of somebody else that is followed was made, changed or deleted. */
  readonly foreignChanged: (ref: ObjectRef) => void
  /** An entry is where it was not, or may be adopted. */
  readonly entryPlaced: () => void
}

/** Of these others' count too, so that all are followed. */
const alsoForeign: readonly ObjectKind[] = ['Sidecar', 'WorkloadGroup', 'WorkloadEntry']

const Selector = Type.Object({
  workloadSelector: Type.Object({
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
})

export function createObjectWatch(deps: ObjectWatchDeps): ObjectWatch {
  const { client, cache, places, owner, clock, log, random } = deps
  const sidecars = new Map<string, ForeignSidecar>()
  const groups = new Map<string, GroupSpec>()
  const watches = objectKinds.flatMap((kind) =>
    scopesOf(kind, deps).map((scope) => {
      const listener = listen(kind)
      const type = meshTypes[kind]
      return { type, watch: createWatch({ client, type, scope, listener, clock, log, random }) }
    }),
  )

  function listen(kind: ObjectKind): WatchListener<ClusterObject> {
    /** What this watch has told to be there. */
    const told = new Map<string, ObjectRef>()
    /** Entries of others that it has told of. */
    const others = new Map<string, ObjectRef>()

    function place(ref: ObjectRef, item: ClusterObject, isOurs: boolean): void {
      if (kind !== 'WorkloadEntry') return
      if (isOurs) others.delete(refText(ref))
      else others.set(refText(ref), ref)
      places.put(ref, item, isOurs)
      deps.entryPlaced()
    }

    function unplace(ref: ObjectRef): void {
      if (kind !== 'WorkloadEntry') return
      others.delete(refText(ref))
      places.forget(ref)
    }

    function changed(item: ClusterObject): void {
      const ref = refTo(kind, item)
      if (!isOwn(item.metadata, owner)) {
        // Ours until somebody took the mark off it.
        if (told.has(refText(ref)) && cache.get(ref)?.uid === item.metadata.uid) gone(item)
        place(ref, item, false)
        noteForeign(ref, item)
        return
      }
      forgetForeign(ref)
      told.set(refText(ref), ref)
      place(ref, item, true)
      const known = knownObject(kind, parseObject(item))
      cache.observed(ref, known, known.resourceVersion)
    }

    function gone(item: ClusterObject): void {
      const ref = refTo(kind, item)
      unplace(ref)
      forgetForeign(ref)
      told.delete(refText(ref))
      cache.observed(ref, undefined, item.metadata.resourceVersion ?? '')
    }

    return {
      replaced(items) {
        const present = new Set(items.map((item) => refText(refTo(kind, item))))
        for (const [key, ref] of others) if (!present.has(key)) unplace(ref)
        for (const [key, ref] of told) {
          if (present.has(key)) continue
          told.delete(key)
          unplace(ref)
          cache.vanished(ref)
        }
        for (const key of [...sidecars.keys(), ...groups.keys()]) {
          if (key.startsWith(`${kind} `) && !present.has(key)) {
            sidecars.delete(key)
            groups.delete(key)
          }
        }
        for (const item of items) changed(item)
      },
      changed,
      gone,
    }
  }

  function noteForeign(ref: ObjectRef, { spec }: ClusterObject): void {
    if (ref.kind === 'Sidecar') {
      const selector = Value.Check(Selector, spec) ? (spec.workloadSelector.labels ?? {}) : undefined
      sidecars.set(refText(ref), { namespace: ref.namespace, name: ref.name, selector })
    }
    if (ref.kind === 'WorkloadGroup') {
      const group = readGroup(spec)
      if (group === undefined) groups.delete(refText(ref))
      else groups.set(refText(ref), group)
    }
    // Entries of others change all the time, and matter to those at their address alone.
    if (alsoForeign.includes(ref.kind) && ref.kind !== 'WorkloadEntry') deps.foreignChanged(ref)
  }

  function forgetForeign(ref: ObjectRef): void {
    const wasThere = sidecars.delete(refText(ref)) || groups.delete(refText(ref))
    if (wasThere) deps.foreignChanged(ref)
  }

  return {
    async run(signal) {
      await Promise.all(watches.map(({ watch }) => watch.run(signal)))
    },
    listed: Promise.all(watches.map(({ watch }) => watch.listed)),
    sidecars: () => sidecars.values(),
    group: (namespace, name) => groups.get(refText({ kind: 'WorkloadGroup', namespace, name })),
    fault: () => faultOf(watches),
  }
}

/** Where objects of a kind are looked for. */
export function scopesOf(
  kind: ObjectKind,
  at: Pick<ObjectWatchDeps, 'owner' | 'namespaces' | 'rootNamespace'>,
  onlyOwn = !alsoForeign.includes(kind),
): readonly Scope[] {
  const labels = onlyOwn ? { labels: ownSelector(at.owner) } : {}
  if (kind === 'AuthorizationPolicy') return [{ ...labels, namespace: at.rootNamespace }]
  if (at.namespaces.length === 0) return [labels]
  return at.namespaces.map((namespace) => ({ ...labels, namespace }))
}

function faultOf(
  watches: readonly { type: Parameters<typeof fullName>[0]; watch: Watch }[],
): string | undefined {
  for (const { type, watch } of watches) {
    const { ok, detail } = watch.health()
    if (!ok) return `${fullName(type)}: ${detail}`
  }
  return undefined
}

function refTo(kind: ObjectKind, { metadata }: ClusterObject): ObjectRef {
  return { kind, name: metadata.name, namespace: metadata.namespace ?? '' }
}
