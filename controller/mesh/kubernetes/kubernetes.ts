import type { SidecarArtifact } from '../../../shared/api/bundle.ts'
import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { PoolRecord } from '../../store/records.ts'
import { ownLabels } from '../identity-labels.ts'
import { type IstioObject, type Mesh, type ObjectRef, objectKinds } from '../mesh.ts'
import { refOf, rootNamespace, sameObject } from '../objects.ts'
import { createAdoption } from './adoption.ts'
import { type ClusterObject, knownObject, parseObject, refText } from './cluster-object.ts'
import { adoptAnnotation, createEntryPlaces, placeOfEntry } from './entry-places.ts'
import type { ClusterFacts, FactSettings } from './mesh-facts.ts'
import { createObjectCache } from './object-cache.ts'
import { createObjectWatch, scopesOf } from './object-watch.ts'
import { type PoolFault, poolFaults } from './pool-faults.ts'
import { meshTypes } from './resource-types.ts'
import { createSurroundings } from './surroundings.ts'
import { createTokens } from './tokens.ts'
import type { GroupSpec } from './workload-group.ts'
import { createWriter } from './writer.ts'

export interface KubernetesMeshDeps {
  /** Of the cluster that istiod serves; calls an API server that does not answer `MESH_UNAVAILABLE`. */
  readonly client: Client
  /** Names this installation, as `<namespace>/<release>`: no other one's objects are touched. */
  readonly owner: string
  /** Which namespaces pools may be in; empty for all of the cluster. */
  readonly namespaces: readonly string[]
  readonly settings: FactSettings
  readonly pools: () => ReadonlyMap<string, PoolRecord>
  readonly artifacts: () => readonly SidecarArtifact[]
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** How long Istio's installation is waited for at the start. @defaultValue 30 s */
  readonly factsWithinMs?: number
  /** How often what others put into the cluster is read again. @defaultValue 10 s */
  readonly lookMs?: number
  /** Time that istiod gathers changes for, once it has heard of one. @defaultValue 150 ms */
  readonly settleMs?: number
}

/** Something in the cluster is not what it was, and not by this controller's hand. */
export type MeshEvent =
  /** An object of ours was changed or deleted; `object` is what there is now. */
  | { readonly about: 'object'; readonly ref: ObjectRef; readonly object: IstioObject | undefined }
  /** A WorkloadGroup that a pool may refer to. */
  | { readonly about: 'group'; readonly namespace: string; readonly name: string }
  /** `facts()` or `faults()` may say something else. */
  | { readonly about: 'surroundings' }

/** The mesh of a cluster, which others write to as well. */
export interface KubernetesMesh extends Mesh {
  readonly mode: 'kubernetes'
  subscribe(listener: (event: MeshEvent) => void): () => void
  /** What stands against pools although nothing failed. */
  faults(): readonly PoolFault[]
  /** What a WorkloadGroup of the user's own says; see `withGroup`. */
  group(namespace: string, name: string): GroupSpec | undefined
}

/**
 * Writes a cluster's mesh. Returns when what VMs must be told is known; throws `MESH_FACTS_MISSING` with what is not
 * there, when it does not appear in time.
 */
export async function createKubernetesMesh(
  deps: KubernetesMeshDeps,
  signal: AbortSignal,
): Promise<KubernetesMesh> {
  const { client, owner, clock, log, random, settings, namespaces } = deps
  const { factsWithinMs = 30_000, lookMs = 10_000, settleMs = 150 } = deps
  const stop = new AbortController()
  const listeners = new Set<(event: MeshEvent) => void>()
  const tell = (event: MeshEvent) => {
    for (const listener of [...listeners]) listener(event)
  }

  const surroundings = createSurroundings({
    client,
    settings,
    pools: deps.pools,
    clock,
    log,
    random,
    everyMs: lookMs,
    changed: () => tell({ about: 'surroundings' }),
  })
  await firstLook()
  // Read once: policies of a mesh that moved its root would have to move too.
  const root = surroundings.facts().rootNamespace

  const cache = createObjectCache({
    same: sameObject,
    changed({ ref, object }) {
      const place = { kind: ref.kind, ...outward(ref) }
      tell({ about: 'object', ref: place, object: object && outwardObject(object) })
    },
  })
  const writer = createWriter({ client, cache, owner, clock })
  const tokens = createTokens({
    client,
    owner,
    istioNamespace: settings.istioNamespace,
    declared: () => {
      const pools = [...deps.pools().values()]
      return new Set(pools.map(({ spec }) => `${spec.namespace}/${spec.serviceAccount}`))
    },
    ensureAccount: (namespace, name, aborted) =>
      writer.apply(
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace }, spec: {} },
        aborted,
      ),
  })
  const places = createEntryPlaces()
  const adoption = createAdoption({ client, places, clock, log, random })
  const watch = createObjectWatch({
    client,
    cache,
    places,
    owner,
    namespaces,
    rootNamespace: root,
    clock,
    log,
    random,
    foreignChanged({ kind, namespace, name }) {
      if (kind === 'WorkloadGroup') tell({ about: 'group', namespace, name })
      else tell({ about: 'surroundings' })
    },
    entryPlaced: adoption.look,
  })

  async function firstLook(): Promise<void> {
    const backoff = createBackoff({ baseMs: 200, maxMs: 5_000, random })
    const end = clock.now() + factsWithinMs
    for (;;) {
      let fault: unknown
      try {
        await surroundings.look(signal)
        const { facts, missing } = surroundings.facts()
        if (facts !== undefined) return
        fault = new MooringError('MESH_FACTS_MISSING', { detail: missing.join('; ') })
      } catch (error) {
        signal.throwIfAborted()
        fault = error
      }
      if (clock.now() >= end) throw fault
      log.warn('the mesh of the cluster cannot be read yet', { error: errorText(fault) })
      await clock.sleep(backoff.next(), signal)
    }
  }

  // `rootNamespace` is the project's word for the place; where it is, MeshConfig says.
  function inward<T extends { readonly namespace: string }>(kind: string, at: T): T {
    return kind === 'AuthorizationPolicy' && at.namespace === rootNamespace ? { ...at, namespace: root } : at
  }
  function outward({ kind, namespace, name }: ObjectRef) {
    return {
      name,
      namespace: kind === 'AuthorizationPolicy' && namespace === root ? rootNamespace : namespace,
    }
  }
  function outwardObject(object: IstioObject): IstioObject {
    return { ...object, metadata: { ...object.metadata, ...outward(refOf(object)) } }
  }

  function faultsOf(name: string, pool: PoolRecord): readonly PoolFault[] {
    const { namespace, workloadGroup, revision } = pool.spec
    return poolFaults(name, pool, {
      sidecars: watch.sidecars(),
      services: surroundings.services(),
      isGroupMissing: workloadGroup !== undefined && watch.group(namespace, workloadGroup) === undefined,
      missingFacts: revision === undefined ? [] : surroundings.facts(revision).missing,
    })
  }

  function factsOf(revision: string | undefined): ClusterFacts {
    const { facts, missing } = surroundings.facts(revision)
    if (facts === undefined) throw new MooringError('MESH_FACTS_MISSING', { detail: missing.join('; ') })
    return facts
  }

  /** Two Sidecars for one workload are a matter of chance: ours is not written beside one of the user's. */
  function refuseClash(object: IstioObject): void {
    if (object.kind !== 'Sidecar') return
    const name = object.metadata.labels?.[ownLabels.pool] ?? ''
    const pool = deps.pools().get(name)
    const clash = pool && faultsOf(name, pool).find(({ code }) => code === 'MESH_SIDECAR_CLASH')
    if (clash !== undefined) throw new MooringError('MESH_SIDECAR_CLASH', { detail: clash.detail })
  }

  /** What stands there already goes on; a VM does not begin beside an entry that would stay open when it is closed. */
  function refuseBeside(object: IstioObject): void {
    const isNew = object.status === undefined && cache.get(refOf(object)) === undefined
    if (object.kind !== 'WorkloadEntry' || !isNew) return
    const place = placeOfEntry(object.metadata.namespace, object.spec)
    const pool = object.metadata.labels?.[ownLabels.pool] ?? ''
    const other = place && places.inTheWay(place, pool)[0]
    if (other === undefined) return
    const detail = `${refText(other.ref)} has the address ${place?.address}; the annotation ${adoptAnnotation}: ${pool} lets the VM take its place`
    throw new MooringError('MESH_ADDRESS_FOREIGN', { detail })
  }

  return {
    mode: 'kubernetes',
    async start(aborted) {
      const lifetime = AbortSignal.any([aborted, stop.signal])
      void watch.run(lifetime)
      void adoption.run(lifetime)
      void surroundings.follow(lifetime)
      await new Promise<void>((resolve, reject) => {
        lifetime.addEventListener('abort', () => reject(lifetime.reason), { once: true })
        if (lifetime.aborted) reject(lifetime.reason)
        void watch.listed.then(() => resolve())
      })
    },
    facts: (revision) => ({ ...factsOf(revision), artifacts: deps.artifacts() }),
    async apply(object, aborted) {
      refuseClash(object)
      refuseBeside(object)
      await writer.apply({ ...object, metadata: inward(object.kind, object.metadata) }, aborted)
    },
    async remove(ref, aborted) {
      if (ref.kind !== 'WorkloadEntry') return writer.remove(inward(ref.kind, ref), aborted)
      // The entry goes even if its tokens cannot be ended; the error makes that be tried again.
      const ended = await Promise.allSettled([
        tokens.revoke(ref.name, ref.namespace, aborted),
        writer.remove(ref, aborted),
      ])
      for (const one of ended) if (one.status === 'rejected') throw one.reason
    },
    async list(aborted) {
      const found: IstioObject[] = []
      for (const kind of objectKinds) {
        for (const scope of scopesOf(kind, { owner, namespaces, rootNamespace: root }, true)) {
          const { items } = await client.list<ClusterObject>(meshTypes[kind], scope, { signal: aborted })
          for (const item of items) {
            found.push(outwardObject(knownObject(kind, parseObject(item)).object))
          }
        }
      }
      return found
    },
    /**
     * What is known: the API server has told its watchers, of whom istiod is one, and istiod's time for gathering
     * changes is over. Whether it has pushed cannot be known from outside; a drain measures it on the VM's own Envoy.
     */
    async taken(ref, aborted) {
      await cache.caughtUp(inward(ref.kind, ref), aborted)
      await clock.sleep(settleMs, aborted)
    },
    async mint(request, aborted) {
      const { facts, missing } = surroundings.facts(request.revision)
      // A bundle without an address would be of no use.
      if (!facts?.istiod.address) throw new MooringError('MESH_FACTS_MISSING', { detail: missing.join('; ') })
      return tokens.mint(request, aborted)
    },
    health() {
      const { missing } = surroundings.facts()
      const unread = surroundings.fault()
      const unfollowed = watch.fault()
      return [
        { part: 'mesh objects', ok: unfollowed === undefined, detail: unfollowed ?? 'followed' },
        {
          part: 'mesh facts',
          ok: unread === undefined && missing.length === 0,
          detail: unread ?? (missing.length > 0 ? `missing: ${missing.join('; ')}` : 'known'),
        },
      ]
    },
    async close() {
      stop.abort(new MooringError('UNAVAILABLE', { detail: 'the controller stops' }))
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    faults: () => [...deps.pools()].flatMap(([name, pool]) => faultsOf(name, pool)),
    group: watch.group,
  }
}
