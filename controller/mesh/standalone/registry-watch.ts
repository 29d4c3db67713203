import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import { ownLabels } from '../identity-labels.ts'
import type { ObjectRef } from '../mesh.ts'
import { refOf } from '../objects.ts'
import type { IstiodView } from './istiod-view.ts'
import { refText } from './object-file.ts'
import type { ObjectFolder } from './object-folder.ts'
import { type Difference, expectedRegistry, registryDifferences } from './registry.ts'

export interface RegistryWatchDeps {
  readonly folder: ObjectFolder
  readonly trustDomain: string
  readonly clock: Clock
  readonly log: Log
}

/** Compares what istiod serves with what is written, and makes it look again at what it missed. */
export interface RegistryWatch {
  /** The istiod to look at; undefined while there is none. */
  look(view: IstiodView | undefined): void
  /** Resolves when istiod answers and has everything. */
  settled(signal: AbortSignal): Promise<void>
  /** Resolves when istiod has taken in this object, or its absence. */
  taken(ref: ObjectRef, signal: AbortSignal): Promise<void>
  /** One round of the lasting comparison; says how long the next may wait. */
  check(signal: AbortSignal): Promise<number>
  /** What istiod has not taken in for too long; undefined when all is well. */
  lag(): string | undefined
  /** How long istiod has not answered, in milliseconds. */
  silentFor(): number
}

/** Older differences are an alarm: reloading and pushing take a fraction of it. */
const lagMs = 5_000
/** istiod loses an endpoint when entry and service come at the same moment; only a change brings it back. */
const nudgeAfterMs = 1_000
const takenWithinMs = 20_000
const idleCheckMs = 2_000
const busyCheckMs = 250
const pollMs = { first: 15, most: 250 } as const

export function createRegistryWatch(deps: RegistryWatchDeps): RegistryWatch {
  const { folder, clock, log } = deps
  let view: IstiodView | undefined
  let answeredAt = clock.now()
  /** By object and fault: since when. */
  const open = new Map<
    string,
    { readonly difference: Difference; readonly since: number; nudgedAt: number }
  >()

  let reading: Promise<ReadonlySet<string>> | undefined
  let next: Promise<ReadonlySet<string>> | undefined

  /** Looks once; the answer names the objects that istiod has not taken in. */
  async function lookOnce(): Promise<ReadonlySet<string>> {
    const present = view
    if (present === undefined) throw new MooringError('MESH_UNAVAILABLE', { detail: 'istiod does not run' })
    const actual = await present.registry(AbortSignal.timeout(takenWithinMs))
    answeredAt = clock.now()
    const objects = folder.written().map(({ object }) => object)
    const found = registryDifferences(objects, expectedRegistry(objects, deps.trustDomain), actual)
    const texts = new Set(found.map(({ text }) => text))
    for (const text of open.keys()) if (!texts.has(text)) open.delete(text)
    for (const difference of found) {
      if (!open.has(difference.text))
        open.set(difference.text, { difference, since: answeredAt, nudgedAt: 0 })
    }
    return new Set(found.map(({ about }) => refText(about)))
  }

  /** A look that begins after this call; however many wait, one look at a time. */
  function freshLook(): Promise<ReadonlySet<string>> {
    if (reading === undefined) {
      reading = lookOnce().finally(() => {
        reading = undefined
      })
      return reading
    }
    next ??= reading
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return freshLook()
      })
    return next
  }

  /** Objects whose present revision istiod has not read. */
  async function unread(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const present = view
    if (present === undefined) throw new MooringError('MESH_UNAVAILABLE', { detail: 'istiod does not run' })
    const revisions = await present.revisions(signal)
    const missing = folder.written().filter((o) => revisions.get(refText(refOf(o.object))) !== o.revision)
    return new Set(missing.map(({ object }) => refText(refOf(object))))
  }

  async function nudgeOld(signal: AbortSignal): Promise<void> {
    const now = clock.now()
    const old = [...open.values()].filter((o) => now - Math.max(o.since, o.nudgedAt) >= nudgeAfterMs)
    if (old.length === 0) return
    // What istiod has not even read needs no nudge: one more reload would only make it later.
    const waiting = await unread(signal)
    const refs = new Map<string, ObjectRef>()
    for (const entry of old) {
      entry.nudgedAt = now
      const { nudge } = entry.difference
      if (nudge !== undefined && !waiting.has(refText(nudge))) refs.set(refText(nudge), nudge)
    }
    if (refs.size === 0) return
    log.warn('istiod missed objects; they are written again', { objects: [...refs.keys()].slice(0, 10) })
    await folder.nudge([...refs.values()])
  }

  async function isTaken(ref: ObjectRef, signal: AbortSignal): Promise<boolean> {
    const written = folder.find(ref)
    if (ref.kind === 'ServiceEntry') return !(await freshLook()).has(refText(ref))
    if (ref.kind === 'WorkloadEntry') {
      const labels = written?.object.spec.labels as Record<string, string> | undefined
      const pending = (await freshLook()).has(refText(ref))
      // Without a service nobody is told of it; then having read it is all there is.
      if (pending || written === undefined || labels?.[ownLabels.service] !== undefined) return !pending
    }
    const present = view
    if (present === undefined) return false
    if (ref.kind === 'AuthorizationPolicy' && written !== undefined) {
      return present.policyInForce(written.revision, signal)
    }
    return (await present.revisions(signal)).get(refText(ref)) === written?.revision
  }

  /** Repeats `holds` until it does; istiod's absence counts as not yet. */
  async function until(holds: () => Promise<boolean>, withinMs: number, signal: AbortSignal): Promise<void> {
    const deadline = clock.now() + withinMs
    let wait: number = pollMs.first
    let fault: unknown
    for (;;) {
      signal.throwIfAborted()
      try {
        if (await holds()) return
        fault = undefined
      } catch (error) {
        if (!isMooringError(error, 'MESH_UNAVAILABLE')) throw error
        fault = error
      }
      if (clock.now() >= deadline) {
        if (fault !== undefined) throw fault
        throw new MooringError('MESH_LAGS', { detail: lag() ?? `for ${withinMs} ms` })
      }
      await clock.sleep(wait, signal)
      wait = Math.min(pollMs.most, wait * 1.5)
    }
  }

  function lag(): string | undefined {
    const oldest = [...open.values()].sort((a, b) => a.since - b.since)[0]
    if (oldest === undefined || clock.now() - oldest.since < lagMs) return undefined
    return open.size === 1 ? oldest.difference.text : `${oldest.difference.text}, and ${open.size - 1} more`
  }

  return {
    look(present) {
      view = present
      open.clear()
      answeredAt = clock.now()
    },
    settled: (signal) =>
      until(
        async () => {
          if ((await freshLook()).size > 0) {
            await nudgeOld(signal)
            return false
          }
          return (await unread(signal)).size === 0
        },
        Number.POSITIVE_INFINITY,
        signal,
      ),
    taken: (ref, signal) => until(() => isTaken(ref, signal), takenWithinMs, signal),
    async check(signal) {
      try {
        const pending = await freshLook()
        await nudgeOld(signal)
        return pending.size === 0 ? idleCheckMs : busyCheckMs
      } catch (error) {
        signal.throwIfAborted()
        if (!isMooringError(error, 'MESH_UNAVAILABLE')) throw error
        log.debug('istiod does not answer', { error: errorText(error) })
        return busyCheckMs
      }
    },
    lag,
    silentFor: () => clock.now() - answeredAt,
  }
}
