import type { Static } from 'typebox'
import type { SidecarArtifact } from '../../../shared/api/bundle.ts'
import type { PoolView } from '../../../shared/api/operator.ts'
import { hasEntry } from '../../../shared/lifecycle.ts'
import { effectivePool } from '../../mesh/pool-defaults.ts'
import type { PoolRecord, VmRecord } from '../../store/records.ts'
import { refusedBy } from './plan.ts'

export type RolloutProgress = NonNullable<Static<typeof PoolView>['rollout']>

/** How far the VMs of a pool are with what is offered; undefined while nothing is, or no VM could take it. */
export function rolloutProgress(
  pool: PoolRecord,
  vms: ReadonlyMap<string, VmRecord>,
  artifacts: readonly SidecarArtifact[],
): RolloutProgress | undefined {
  const members = [...vms].filter(([, { phase, artifact }]) => hasEntry(phase) && artifact !== undefined)
  const offerOf = ({ arch }: VmRecord) => artifacts.find((each) => each.arch === arch)
  const offered = members.filter(([, record]) => offerOf(record) !== undefined)
  const versions = new Set(offered.map(([, record]) => offerOf(record)?.version ?? ''))
  if (versions.size === 0) return undefined
  const isGiven = ([, record]: [string, VmRecord]) => offerOf(record)?.sha256 === record.artifact?.sha256
  const updated = offered.filter((each) => isGiven(each) && each[1].update === undefined).length
  const count = { version: [...versions].join(', '), updated, total: offered.length }
  const refused = refusedBy(pool, vms.values())
  const halting = offered.find(([, { refusedArtifact }]) => {
    const sha256 = refusedArtifact?.sha256 ?? ''
    return refused.has(sha256) && artifacts.some((each) => each.sha256 === sha256)
  })
  if (halting !== undefined) {
    const [vm, { refusedArtifact }] = halting
    const detail = `${vm} did not get ready with it and went back: ${refusedArtifact?.why ?? ''}`
    return { ...count, state: 'halted', detail }
  }
  if (updated === offered.length) return { ...count, state: 'done' }
  if (effectivePool(pool.spec).rollout.paused) return { ...count, state: 'paused' }
  if (offered.length > 1) return { ...count, state: 'running' }
  return {
    ...count,
    state: 'running',
    detail: 'it has one VM: requests fail while its sidecar is started anew',
  }
}
