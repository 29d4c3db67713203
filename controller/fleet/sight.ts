import type { Clock } from '../../shared/clock.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Mesh } from '../mesh/mesh.ts'
import type { VmRecord } from '../store/records.ts'
import { explain, type VmExplanation } from './explain.ts'
import type { Keepings } from './keeping.ts'
import type { Listening } from './listening.ts'
import type { Liveness } from './liveness.ts'
import type { Roster } from './roster.ts'
import type { Streams } from './streams.ts'
import { termsOf } from './terms.ts'
import { type VmView, vmView } from './views.ts'

/** What a joiner's VM is known to say, here or elsewhere; for the judgement of a second machine with its key. */
export interface KnownHearing {
  readonly connected: boolean
  /** Unix milliseconds. */
  readonly lastHeard: number
  /** How long its hearer has listened since then. */
  readonly listenedMs: number
}

/** The VMs, as others see them. */
export interface Sight {
  view(vm: string): VmView | undefined
  views(pool?: string): readonly VmView[]
  explain(vm: string): VmExplanation | undefined
  hearing(vm: string): KnownHearing
  /** Whether another VM must not have this one's address. */
  isLive(vm: string): boolean
}

export interface SightDeps {
  readonly mesh: Pick<Mesh, 'facts'>
  readonly roster: Roster
  readonly streams: Pick<Streams, 'session'>
  readonly liveness: Pick<Liveness, 'hearing'>
  readonly listening: Listening
  readonly keepings: Pick<Keepings, 'elsewhere'>
  readonly clock: Clock
}

export function createSight(deps: SightDeps): Sight {
  const { mesh, roster, streams, liveness, listening, keepings, clock } = deps

  function view(vm: string): VmView | undefined {
    const record = roster.vm(vm)
    return record && viewOf(vm, record)
  }

  function viewOf(vm: string, record: VmRecord): VmView {
    const elsewhere = keepings.elsewhere(vm, record)
    return vmView({
      ...{ vm, record },
      pool: roster.pool(record.pool),
      session: streams.session(vm),
      hearing: liveness.hearing(vm),
      ...(elsewhere && { elsewhere }),
      trustDomain: mesh.facts().trustDomain,
    })
  }

  return {
    view,
    views: (pool) =>
      [...roster.vms()].flatMap(([vm, record]) =>
        pool === undefined || record.pool === pool ? [viewOf(vm, record)] : [],
      ),
    explain(vm) {
      const record = roster.vm(vm)
      if (record === undefined) return undefined
      const terms = termsOf(roster.pool(record.pool), mesh.facts())
      const { connected, lastHeard } = viewOf(vm, record)
      const hearing = { ...liveness.hearing(vm), lastHeard }
      return explain({ vm, record, terms, hearing, connected, now: clock.now() })
    },
    hearing(vm) {
      const record = roster.vm(vm)
      if (record === undefined) return { connected: false, lastHeard: 0, listenedMs: 0 }
      const { connected, lastHeard } = viewOf(vm, record)
      // Where another replica has the stream, it is the one that listens.
      const isElsewhere = keepings.elsewhere(vm, record) !== undefined
      return { connected, lastHeard, listenedMs: isElsewhere ? 0 : listening.since(lastHeard) }
    },
    isLive(vm) {
      const record = roster.vm(vm)
      // One that was admitted this instant may not be read yet.
      if (record === undefined) return true
      if (!hasEntry(record.phase) || record.phase === 'lost') return false
      return liveness.hearing(vm).state !== 'vanished'
    },
  }
}
