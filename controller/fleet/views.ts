import type { Static } from 'typebox'
import type { VmView as VmViewSchema } from '../../shared/api/operator.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { RemoteHearing } from './elsewhere.ts'
import type { Hearing } from './liveness.ts'
import type { SessionFacts } from './session.ts'

export type VmView = Static<typeof VmViewSchema>

export interface ViewInput {
  readonly vm: string
  readonly record: VmRecord
  readonly pool: PoolRecord | undefined
  readonly session: SessionFacts | undefined
  readonly hearing: Hearing
  /** When another replica has its stream. */
  readonly elsewhere?: RemoteHearing
  readonly trustDomain: string
}

/** A VM as operators see it. */
export function vmView(input: ViewInput): VmView {
  const { vm, record, pool, session, hearing, trustDomain } = input
  const { drain } = record
  const spec = pool?.spec
  return {
    id: vm,
    pool: record.pool,
    phase: record.phase,
    phaseSince: record.phaseSince,
    address: record.address,
    health: record.health,
    conditions: record.conditions.map((condition) => ({ ...condition })),
    method: record.method,
    hostname: record.hostname,
    arch: record.arch,
    agentVersion: record.agentVersion,
    ...(record.sidecarVersion !== undefined && { sidecarVersion: record.sidecarVersion }),
    sidecarRestarts: record.sidecarRestarts,
    nics: record.nics.map((nic) => ({ ...nic })),
    facts: { ...record.facts },
    // As Istio makes it of namespace and service account (istio pkg/spiffe/spiffe.go).
    identity:
      spec === undefined ? '' : `spiffe://${trustDomain}/ns/${spec.namespace}/sa/${spec.serviceAccount}`,
    certificateExpiresAt: record.certificateExpiresAt,
    connected:
      input.elsewhere?.connected ??
      (session !== undefined && session.state !== 'closed' && hearing.state !== 'vanished'),
    lastHeard: input.elsewhere?.lastHeard ?? hearing.lastHeard,
    ...(drain !== undefined && {
      draining: { reason: drain.reason, after: drain.after, requestedAt: drain.requestedAt, by: drain.by },
    }),
    revoked: record.revoked !== undefined,
    createdAt: record.createdAt,
  }
}
