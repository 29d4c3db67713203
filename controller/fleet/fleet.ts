import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { Audit } from '../audit.ts'
import type { Effects } from '../effects.ts'
import type { IstioObject, Mesh, ObjectRef } from '../mesh/mesh.ts'
import { canonical } from '../mesh/objects.ts'
import { poolFacts } from '../mesh/pool-facts.ts'
import type { Metrics } from '../metrics.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import { createBundleIssue } from './bundle-issue.ts'
import { createChronicle } from './chronicle.ts'
import { censusElsewhere } from './elsewhere.ts'
import type { VmExplanation } from './explain.ts'
import { keepGauges } from './gauges.ts'
import { createIntake } from './intake.ts'
import { createInventory } from './inventory.ts'
import { createKeepings } from './keeping.ts'
import { createLead } from './lead.ts'
import { createListening } from './listening.ts'
import { createLiveness } from './liveness.ts'
import { createQueue } from './queue.ts'
import { createReconcile } from './reconcile.ts'
import { alone, type Replicas } from './replicas.ts'
import { createPacer } from './rollout/pacer.ts'
import { type Change, createRoster } from './roster.ts'
import type { FleetSettings } from './settings.ts'
import { createSight, type KnownHearing } from './sight.ts'
import { createStreams, type StreamPeer, type StreamSocket } from './streams.ts'
import { createTakeover } from './takeover.ts'
import { termsOf } from './terms.ts'
import { createUpkeep } from './upkeep.ts'
import { createUptake } from './uptake.ts'
import type { VmView } from './views.ts'
import { createWatchers, type FleetEvent } from './watchers.ts'
import { createWishes, type DrainWish, type RemovalWish } from './wishes.ts'
import { keyOfOwner, vmOfKey, workKeys } from './work-keys.ts'

/** All VMs: what is to be the case with them, and what is. */
export interface Fleet {
  /** Reads what is there, and begins to bring everything to where it should be. */
  start(signal: AbortSignal): Promise<void>
  /** Agents can reach this controller from now on. */
  opened(): void
  /** Until aborted this replica leads: all that no other one owns is its own. Resolves when it does nothing of that any more. */
  lead(signal: AbortSignal): Promise<void>
  /** Something about this VM may have changed. */
  enqueue(vm: string): void
  enqueuePool(name: string): void
  /** Somebody else wrote or deleted an object of ours: what there is now. */
  observed(ref: ObjectRef, object: IstioObject | undefined): void
  /** Facts of the mesh, or what stands against pools in it, may be otherwise. */
  surroundingsChanged(): void
  /** Brings the VM to rest now: after an admission, its entry is written and every older one at its address is gone. */
  settle(vm: string, signal: AbortSignal): Promise<void>
  /** All that the VM needs to be in the mesh, with a fresh token. */
  bundle(vm: string, signal: AbortSignal): Promise<Bundle>
  /** Takes over an authenticated stream of an agent. */
  attach(socket: StreamSocket, peer: StreamPeer): void
  /** Throws `NOT_FOUND`. When it resolves the wish is written, and views show it. */
  requestDrain(vm: string, wish: DrainWish): Promise<void>
  /** Throws `NOT_FOUND`. When it resolves the wish is written, and views show it. */
  remove(vm: string, wish: RemovalWish): Promise<void>
  /** Whether the VM's stream is open and has this name; see `RenewEvidence`. */
  holdsStream(vm: string, session: string): boolean
  /** What is known of the VM's stream, here or at another replica. */
  hearing(vm: string): KnownHearing
  /** Whether another VM must not have this one's address. */
  isLive(vm: string): boolean
  view(vm: string): Promise<VmView | undefined>
  views(pool?: string): Promise<readonly VmView[]>
  explain(vm: string): Promise<VmExplanation | undefined>
  subscribe(listener: (event: FleetEvent) => void): () => void
  /** Whether nothing waits to be done; what waits for a time does not count. */
  readonly idle: boolean
  /** Agents are told to come back later; nothing in the mesh changes. */
  close(): Promise<void>
}

export type { FleetSettings } from './settings.ts'
export type { FleetEvent } from './watchers.ts'

export interface FleetDeps {
  readonly store: ResourceStore
  readonly mesh: Mesh
  readonly clock: Clock
  readonly log: Log
  readonly audit: Pick<Audit, 'record'>
  readonly effects: Effects
  readonly metrics: Metrics
  /** Name of this controller; where there are several, `replicas` has it. */
  readonly instance: string
  /** @defaultValue there is only this one */
  readonly replicas?: Replicas
  readonly settings?: FleetSettings
  /** Source of the jitter. */
  readonly random?: () => number
}

const { pools: poolsKey, resync: resyncKey, rollout: rolloutKey, facts: factsKey, vm: vmKey } = workKeys

// Many changes in a row are one look at who may restart its sidecar next.
const rolloutPauseMs = 200
// A change that is no transition is written after this time, so that many cost one write.
const soonMs = 1_000

export function createFleet(deps: FleetDeps): Fleet {
  const { store, mesh, clock, log, metrics, effects } = deps
  const {
    reconnectWindowMs = 15_000,
    resyncMs = 60_000,
    tokenTtlSeconds = 3_600,
    takenWithinMs = 2_000,
    listeningPeriodMs = 500,
    parallel = 32,
  } = deps.settings ?? {}
  const jitter = deps.random === undefined ? {} : { random: deps.random }
  // Replicas that started together must not look at everything together for ever.
  const resyncPause = createBackoff({
    ...jitter,
    floorMs: 0.75 * resyncMs,
    baseMs: 1.25 * resyncMs,
    maxMs: 1.25 * resyncMs,
  })
  const watchers = createWatchers({ log, view: (vm) => sight.view(vm) })
  const replicas = deps.replicas ?? alone(deps.instance)
  const stop = new AbortController()
  let knownFacts = ''
  let isLoaded = false

  const lead = createLead({ replicas, changed: lookAtAll })
  const chronicle = createChronicle(deps)
  const inventory = createInventory({ mesh, effects })
  const roster = createRoster({ store, network: () => mesh.facts().network, changed: rosterChanged })
  const wishes = createWishes({ store, mesh, effects, clock })
  const issueBundle = createBundleIssue({ store, mesh, effects, wishes, tokenTtlSeconds })
  const intake = createIntake({
    ...{ store, replicas, inventory, roster, clock, log, jitter },
    amiss: () => queue.add(resyncKey),
    replicaChanged(name) {
      for (const [vm, { stream }] of roster.vms()) if (stream?.owner === name) queue.add(vmKey(vm))
    },
  })
  const upkeep = createUpkeep({ store, mesh, inventory, roster, log })
  const queue = createQueue({
    clock,
    work,
    parallel,
    retry: { baseMs: 200, maxMs: 30_000 },
    ...jitter,
    onDone: (key, { ms, error }) => {
      metrics.count('mooring_reconciles_total', { result: error === undefined ? 'done' : 'failed' })
      metrics.observe('mooring_reconcile_seconds', {}, ms / 1_000)
      if (error !== undefined && !stop.signal.aborted) {
        log.warn('a reconciliation failed and is tried again', { of: key, error: errorText(error) })
      }
    },
  })
  const listening = createListening({ clock, periodMs: listeningPeriodMs })
  const liveness = createLiveness({
    clock,
    listening,
    reconnectWindowMs,
    changed: (vm) => queue.add(vmKey(vm)),
    guardChanged: chronicle.guard,
    elsewhere: (isExpected) =>
      replicas.several
        ? censusElsewhere(others(isExpected), reconnectWindowMs, clock.now())
        : { total: 0, silent: 0 },
    stalled: (ms) => log.warn('the controller did not run for a while, silence is counted anew', { ms }),
  })
  const streams = createStreams({
    clock,
    log,
    metrics,
    heard: liveness.heard,
    listening,
    takeover: createTakeover({
      clock,
      listening,
      lastHeard: (vm) => liveness.hearing(vm).lastHeard,
      heartbeatMs: (vm) => terms(roster.vm(vm)?.pool ?? '').heartbeatMs,
      elsewhere: (vm) => {
        const record = roster.vm(vm)
        const known = record && keepings.elsewhere(vm, record)
        return known?.connected ? { bootId: record?.bootId ?? '', lastHeard: known.lastHeard } : undefined
      },
      cloned: chronicle.cloned,
    }),
    changed: (vm, urgency) => {
      if (urgency === 'now') queue.add(vmKey(vm))
      else queue.addAfter(vmKey(vm), soonMs)
      watchers.tell(vm)
      queue.addAfter(rolloutKey, rolloutPauseMs)
    },
  })
  const keepings = createKeepings({
    ...{ replicas, lead, clock },
    session: streams.session,
    terms: ({ pool }) => terms(pool),
    admitted: (vm) => queue.add(vmKey(vm)),
  })
  const sight = createSight({ mesh, roster, streams, liveness, listening, keepings, clock })
  const pacer = createPacer({ mesh, roster, session: streams.session, wishes, chronicle, clock })
  const uptake = createUptake({
    mesh,
    clock,
    log,
    withinMs: takenWithinMs,
    over: (vm) => queue.add(vmKey(vm)),
  })
  const reconcile = createReconcile({
    ...deps,
    uptake,
    inventory,
    roster,
    streams,
    liveness,
    chronicle,
    ...{ replicas, keepings, lead },
  })

  keepGauges({ metrics, mesh, roster, streams, queue })

  async function work(key: string, signal: AbortSignal): Promise<void> {
    if (key === poolsKey) return lead.holds ? lead.doing(signal, upkeep.pools) : undefined
    if (key === resyncKey) return resync(signal)
    if (key === rolloutKey) return rollOut()
    if (key === factsKey) return followFacts()
    const { wakeAt } = await reconcile(vmOfKey(key), signal)
    if (wakeAt !== undefined) queue.addAfter(key, wakeAt - clock.now())
  }

  const terms = (pool: string) => termsOf(roster.pool(pool), mesh.facts())

  function others(isExpected: (vm: string) => boolean) {
    return [...roster.vms()].flatMap(([vm, record]) => (isExpected(vm) ? [] : [record]))
  }

  function lookAtAll(): void {
    if (!isLoaded) return
    for (const key of [poolsKey, rolloutKey, resyncKey]) queue.add(key)
    for (const vm of roster.vms().keys()) queue.add(vmKey(vm))
  }

  async function rollOut(): Promise<void> {
    if (!lead.holds) return
    const { wakeAt } = await pacer.pace()
    if (wakeAt !== undefined) queue.addAfter(rolloutKey, wakeAt - clock.now())
  }

  async function resync(signal: AbortSignal): Promise<void> {
    queue.addAfter(resyncKey, resyncPause.next())
    await inventory.load(signal)
    await roster.load()
    queue.add(poolsKey)
    for (const vm of await upkeep.suspects()) queue.add(vmKey(vm))
    followFacts()
  }

  function followFacts(): void {
    const facts = canonical([...roster.pools().values()].map((pool) => poolFacts(mesh, pool)))
    // They are in every bundle: a root certificate that rotates must reach every VM.
    if (facts !== knownFacts) for (const vm of roster.vms().keys()) queue.add(vmKey(vm))
    knownFacts = facts
    queue.add(rolloutKey)
  }

  function rosterChanged(change: Change): void {
    queue.addAfter(rolloutKey, rolloutPauseMs)
    if (change.kind === 'pool') {
      queue.add(poolsKey)
      // Entry, terms and bundle of each of its VMs follow the pool.
      for (const [vm, record] of roster.vms()) if (record.pool === change.name) queue.add(vmKey(vm))
      return
    }
    const { name, before, after } = change
    queue.add(vmKey(name))
    watchers.tell(name)
    // Who waits for its address may have it now, or has lost it.
    const moved =
      before === undefined || after === undefined || hasEntry(before.phase) !== hasEntry(after.phase)
    const record = after ?? before
    if (!moved || record === undefined) return
    for (const other of roster.at(record)) if (other !== name) queue.add(vmKey(other))
  }

  return {
    async start(signal) {
      await intake.start(AbortSignal.any([signal, stop.signal]))
      isLoaded = true
      liveness.open()
      queue.add(poolsKey)
      for (const vm of await upkeep.suspects()) queue.add(vmKey(vm))
      queue.addAfter(resyncKey, resyncPause.next())
    },
    opened: liveness.open,
    lead: lead.run,
    enqueue: (vm) => queue.add(vmKey(vm)),
    enqueuePool(name) {
      rosterChanged({ kind: 'pool', name })
    },
    observed(ref, object) {
      inventory.observed(ref, object)
      // Before that nothing is judged: the start looks at everything.
      if (isLoaded) queue.add(keyOfOwner(ref))
    },
    surroundingsChanged() {
      if (!isLoaded) return
      queue.add(factsKey)
      queue.add(poolsKey)
    },
    settle: (vm, signal) => keepings.admitting(vm, () => queue.runNow(vmKey(vm), signal)),
    bundle: issueBundle,
    attach: streams.attach,
    async requestDrain(vm, wish) {
      await wishes.drain(vm, wish)
      await roster.refresh('vm', vm)
      queue.add(vmKey(vm))
    },
    async remove(vm, wish) {
      await wishes.remove(vm, wish)
      await roster.refresh('vm', vm)
      queue.add(vmKey(vm))
    },
    holdsStream: streams.isNamed,
    hearing: sight.hearing,
    isLive: sight.isLive,
    view: async (vm) => sight.view(vm),
    views: async (pool) => sight.views(pool),
    explain: async (vm) => sight.explain(vm),
    subscribe: watchers.subscribe,
    get idle() {
      return queue.idle
    },
    async close() {
      stop.abort(new MooringError('UNAVAILABLE', { detail: 'the controller stops' }))
      intake.close()
      watchers.close()
      liveness.close()
      listening.close()
      uptake.close()
      await queue.close()
      streams.close()
    },
  }
}
