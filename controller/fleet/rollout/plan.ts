import type { SidecarArtifact } from '../../../shared/api/bundle.ts'
import { hasEndpoint, hasEntry } from '../../../shared/lifecycle.ts'
import { effectivePool } from '../../mesh/pool-defaults.ts'
import type { PoolRecord, VmRecord } from '../../store/records.ts'
import { termsOf } from '../terms.ts'

/** A VM of a pool, as far as it matters here. */
export interface RolloutMember {
  readonly vm: string
  readonly record: VmRecord
  /** Its agent waits to start the sidecar anew. */
  readonly restartPending: boolean
}

export interface RolloutQuestion {
  readonly pool: PoolRecord
  readonly members: readonly RolloutMember[]
  /** What the controller hands out; of each platform the first counts. */
  readonly artifacts: readonly SidecarArtifact[]
  readonly certificateTtlSeconds: number
  readonly now: number
}

/** What is to be written into the record of one VM. */
export type RolloutStep =
  /** Its bundle names this artifact from now on. */
  | { readonly do: 'give'; readonly vm: string; readonly artifact: SidecarArtifact }
  /** Its endpoint closes, and then its sidecar is started anew. */
  | { readonly do: 'restart'; readonly vm: string }
  /** It did not get ready with what it was given. */
  | { readonly do: 'take-back'; readonly vm: string; readonly why: string }

export interface RolloutPlan {
  readonly steps: readonly RolloutStep[]
  /** When to plan again although nothing happened. */
  readonly wakeAt?: number
}

/**
 * Who may take what is offered, now. Pure. A VM that serves waits until few enough of its pool do not; one that
 * serves nobody loses nothing by a restart, but has its turn too: it shows whether a version is of any use.
 */
export function planRollout(question: RolloutQuestion): RolloutPlan {
  const { pool, now } = question
  const { paused } = effectivePool(pool.spec).rollout
  const members = present(question.members)
  const steps: RolloutStep[] = []
  const late = members.filter(({ record }) => overdueAt(question, record) <= now)
  for (const { vm, record } of late) {
    steps.push({ do: 'take-back', vm, why: whyLate(record) })
  }
  let places = mostUnavailable(pool, members.length) - members.filter(isUnavailable).length
  let turns = mostUnavailable(pool, members.length) - members.filter(({ record }) => record.update).length
  // Those that serve nobody first: what costs nothing comes before what does.
  const ordered = [...members].sort((a, b) => Number(serves(a)) - Number(serves(b)) || (a.vm < b.vm ? -1 : 1))
  for (const member of ordered) {
    const { vm, record } = member
    const mayStop = !serves(member) || (!paused && places > 0)
    if (!isReachable(record) || !mayStop) continue
    const artifact = record.update === undefined && !paused && turns > 0 && offerFor(question, record)
    if (artifact) {
      steps.push({ do: 'give', vm, artifact })
      turns -= 1
    } else if (member.restartPending && record.restart === undefined) {
      steps.push({ do: 'restart', vm })
    } else continue
    if (serves(member)) places -= 1
  }
  const ahead = members.map(({ record }) => overdueAt(question, record)).filter((at) => at > now)
  const wakeAt = Math.min(...ahead)
  return { steps, ...(Number.isFinite(wakeAt) && { wakeAt }) }
}

/** What a VM that has no sidecar yet is given: the offer, unless that failed in its pool and another is there. */
export function artifactFor(
  arch: string,
  artifacts: readonly SidecarArtifact[],
  refused: ReadonlySet<string>,
): SidecarArtifact | undefined {
  const fitting = artifacts.filter((each) => each.arch === arch)
  return fitting.find(({ sha256 }) => !refused.has(sha256)) ?? fitting[0]
}

/** Digests that did not get ready on a VM of the pool since it was last applied. */
export function refusedBy(pool: PoolRecord, records: Iterable<VmRecord>): ReadonlySet<string> {
  const refused = new Set<string>()
  for (const { phase, refusedArtifact } of records) {
    if (hasEntry(phase) && refusedArtifact !== undefined && refusedArtifact.at >= pool.updatedAt) {
      refused.add(refusedArtifact.sha256)
    }
  }
  return refused
}

/** How many of `total` VMs may not serve at a time. */
export function mostUnavailable({ spec }: PoolRecord, total: number): number {
  const { maxUnavailable } = effectivePool(spec).rollout
  if (typeof maxUnavailable === 'number') return maxUnavailable
  return Math.max(1, Math.floor((total * Number.parseInt(maxUnavailable, 10)) / 100))
}

/** Those in the mesh; one that leaves is not waited for. */
function present(members: readonly RolloutMember[]): readonly RolloutMember[] {
  return members.filter(({ record }) => hasEntry(record.phase) && record.phase !== 'draining')
}

/** Whether a restart now would take something from anybody. */
function serves({ record }: RolloutMember): boolean {
  return hasEndpoint(record.phase) && record.update === undefined && record.restart === undefined
}

/** Whether it should serve and does not, or is about to stop. One that has just come was not there before. */
function isUnavailable(member: RolloutMember): boolean {
  const { phase } = member.record
  return !serves(member) && phase !== 'joining' && phase !== 'joined'
}

function isReachable({ phase }: VmRecord): boolean {
  return phase !== 'lost' && phase !== 'joining'
}

/** What it should have and has not; nothing while that failed in its pool. */
function offerFor({ pool, members, artifacts }: RolloutQuestion, record: VmRecord) {
  const offer = artifacts.find((each) => each.arch === record.arch)
  if (offer === undefined || record.artifact === undefined) return undefined
  if (offer.sha256 === record.artifact.sha256) return undefined
  const records = members.map((member) => member.record)
  return refusedBy(pool, records).has(offer.sha256) ? undefined : offer
}

/** When it is no longer waited for: the download has its time, and then the start has. */
function overdueAt({ pool, certificateTtlSeconds }: RolloutQuestion, record: VmRecord): number {
  if (record.update === undefined || !isReachable(record)) return Number.POSITIVE_INFINITY
  const { drainDeadlineMs } = termsOf(pool, { certificateTtlSeconds })
  // One that was away meanwhile begins anew.
  const begun = Math.max(record.update.since, record.stream?.since ?? 0)
  const stopped = record.restart === undefined ? 0 : record.restart.since + drainDeadlineMs
  return Math.max(begun, stopped) + effectivePool(pool.spec).rollout.readyWithinSeconds * 1_000
}

function whyLate({ conditions, restart }: VmRecord): string {
  const fault = conditions.find(
    ({ type, status }) => agentParts.has(type) && status !== 'True' && status !== 'Unknown',
  )
  if (fault !== undefined) return [fault.reason, fault.message].filter((text) => text !== '').join(': ')
  return restart === undefined ? 'it was not installed in time' : 'it did not get ready in time'
}

const agentParts: ReadonlySet<string> = new Set([
  'SidecarInstalled',
  'FilesWritten',
  'SidecarRunning',
  'SidecarReady',
  'TrafficCaptured',
  'ApplicationHealthy',
])
