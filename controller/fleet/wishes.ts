import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import type { AfterDrain, DrainReason } from '../../shared/api/stream.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { Effects } from '../effects.ts'
import type { Mesh } from '../mesh/mesh.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import type { RolloutStep } from './rollout/plan.ts'
import { termsOf } from './terms.ts'

export interface DrainWish {
  readonly reason: DrainReason
  readonly after: AfterDrain
  /** Who wishes it: `operator:<name>` and the like. */
  readonly by: string
  readonly deadlineSeconds?: number
}

export interface RemovalWish {
  readonly by: string
  /** Do not drain first. */
  readonly now: boolean
}

/** What others want of a VM, written as desired state: who owns its stream carries it out. */
export interface Wishes {
  drain(vm: string, wish: DrainWish): Promise<void>
  remove(vm: string, wish: RemovalWish): Promise<void>
  /** Raises the time until which the VM may hold a workload certificate, and notes the sidecar it is given. */
  issued(vm: string, issue: { readonly until: number; readonly artifact?: SidecarArtifact }): Promise<void>
  /** What its turn in a rollout asks of it; nothing when it is no longer as it was. */
  roll(vm: string, seen: VmRecord, step: RolloutStep): Promise<void>
}

export interface WishesDeps {
  readonly store: ResourceStore
  readonly mesh: Pick<Mesh, 'facts'>
  readonly effects: Effects
  readonly clock: Clock
}

// Everybody who writes a VM's record reads it first; so many losses in a row do not happen.
const mostTries = 20

export function createWishes(deps: WishesDeps): Wishes {
  const { store, mesh, effects, clock } = deps

  async function change(vm: string, make: (record: VmRecord) => VmRecord | Promise<VmRecord>): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const stored = await store.get('vm', vm)
      if (stored === undefined) throw new MooringError('NOT_FOUND', { detail: `vm/${vm}` })
      const value = await make(stored.value)
      if (value === stored.value) return
      try {
        await effects.run('vm-written', () =>
          store.commit([{ put: 'vm', name: vm, value, version: stored.version }]),
        )
        return
      } catch (error) {
        if (!isMooringError(error, 'CONFLICT') || tries >= mostTries) throw error
      }
    }
  }

  return {
    drain: (vm, wish) =>
      change(vm, (record) => {
        // A repeated wish does not begin the drain anew, and one to hold does not keep a VM that leaves.
        const stands = record.drain !== undefined && (record.drain.after === 'leave' || wish.after === 'hold')
        if (!hasEntry(record.phase) || stands) return record
        return { ...record, drain: { ...wish, requestedAt: clock.now() } }
      }),
    remove: (vm, wish) =>
      change(vm, async (record) => {
        if (record.revoked !== undefined && (record.revoked.now || !wish.now)) return record
        const now = clock.now()
        const pool: PoolRecord | undefined = (await store.get('pool', record.pool))?.value
        const revoked = {
          at: record.revoked?.at ?? now,
          by: wish.by,
          // A workload renews its certificate by the old one: the newest may have been issued this instant.
          evictUntil: Math.max(
            record.workloadCertificateUntil,
            now + termsOf(pool, mesh.facts()).certificateTtlMs,
          ),
          now: wish.now,
        }
        const isLeaving = wish.now || !hasEntry(record.phase) || record.drain?.after === 'leave'
        if (isLeaving) return { ...record, revoked }
        return {
          ...record,
          revoked,
          drain: { reason: 'removed', after: 'leave', requestedAt: now, by: wish.by },
        }
      }),
    issued: (vm, { until, artifact }) =>
      change(vm, (record) => {
        const isKnown = artifact === undefined || record.artifact !== undefined
        if (until <= record.workloadCertificateUntil && isKnown) return record
        const workloadCertificateUntil = Math.max(until, record.workloadCertificateUntil)
        return { ...record, workloadCertificateUntil, ...(!isKnown && { artifact }) }
      }),
    roll: (vm, seen, step) =>
      change(vm, (record) => {
        const isSame = record.phase === seen.phase && record.artifact?.sha256 === seen.artifact?.sha256
        return isSame ? rolled(record, step, clock.now()) : record
      }),
  }
}

function rolled(record: VmRecord, step: RolloutStep, now: number): VmRecord {
  const { artifact, update, ...rest } = record
  switch (step.do) {
    case 'give': {
      if (artifact === undefined) return record
      const served = record.health === 'healthy'
      return { ...rest, artifact: step.artifact, update: { since: now, before: artifact, served } }
    }
    case 'restart':
      return { ...record, restart: { since: now } }
    case 'take-back': {
      if (artifact === undefined || update === undefined) return record
      const refusedArtifact = { sha256: artifact.sha256, at: now, why: step.why }
      return { ...rest, artifact: update.before, refusedArtifact }
    }
  }
}
