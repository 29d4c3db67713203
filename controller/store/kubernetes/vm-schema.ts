import { Type } from 'typebox'
import { SidecarArtifact } from '../../../shared/api/bundle.ts'
import { Nic } from '../../../shared/api/join.ts'
import { AfterDrain, DrainReason, Health } from '../../../shared/api/stream.ts'
import { Address, Name, Seconds, Sha256, Text } from '../../../shared/api/wire.ts'
import { conditionStatuses } from '../../../shared/conditions.ts'
import { phases } from '../../../shared/lifecycle.ts'
import { Moment } from './moment.ts'

const Short = Type.String({ maxLength: 253 })

/** Of a VM's record what identifies it, and what is wished of it. */
export const VmSpec = Type.Object({
  pool: Name,
  method: Type.String({ maxLength: 64 }),
  keyThumbprint: Sha256,
  address: Address,
  hostname: Short,
  arch: Type.String({ maxLength: 16 }),
  nics: Type.Array(Nic, { maxItems: 64 }),
  bootId: Type.String({ maxLength: 64 }),
  admittedAt: Moment,
  createdAt: Moment,
  drain: Type.Optional(
    Type.Object({
      reason: DrainReason,
      after: AfterDrain,
      requestedAt: Moment,
      by: Text,
      deadlineSeconds: Type.Optional(Seconds(0, 3600)),
    }),
  ),
  revoked: Type.Optional(Type.Object({ at: Moment, by: Text, evictUntil: Moment, now: Type.Boolean() })),
  artifact: Type.Optional(SidecarArtifact),
  update: Type.Optional(Type.Object({ since: Moment, before: SidecarArtifact, served: Type.Boolean() })),
  restart: Type.Optional(Type.Object({ since: Moment })),
})

/** A condition as records have it; in Kubernetes `since` is `lastTransitionTime`. */
export const VmCondition = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 64 }),
  status: Type.Enum(conditionStatuses),
  reason: Type.String({ maxLength: 1024 }),
  message: Type.String({ maxLength: 32_768 }),
  since: Moment,
})

/** Of a VM's record what is the case. */
export const VmStatus = Type.Object({
  phase: Type.Enum(phases),
  phaseSince: Moment,
  health: Health,
  conditions: Type.Array(VmCondition, { maxItems: 64 }),
  stream: Type.Optional(Type.Object({ owner: Short, epoch: Type.Integer({ minimum: 0 }), since: Moment })),
  lastSeenAt: Moment,
  certificateExpiresAt: Moment,
  certificateIssuer: Type.Optional(Type.String({ maxLength: 128 })),
  workloadCertificateUntil: Moment,
  agentVersion: Type.String({ maxLength: 64 }),
  sidecarVersion: Type.Optional(Type.String({ maxLength: 64 })),
  sidecarRestarts: Type.Integer({ minimum: 0 }),
  restartPending: Type.Optional(Type.Boolean()),
  bundleRevision: Type.String({ maxLength: 64 }),
  trust: Type.Optional(Type.String({ maxLength: 64 })),
  refusedArtifact: Type.Optional(
    Type.Object({ sha256: Sha256, at: Moment, why: Type.String({ maxLength: 4096 }) }),
  ),
  facts: Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 256 })),
})
