import { type Static, Type } from 'typebox'
import { conditionTypes } from '../conditions.ts'
import { StreamSession } from './join.ts'
import { Time } from './wire.ts'

const Detail = Type.String({ maxLength: 2048 })

/** Sidecar and application together, as the agent sees them. `unknown` until the first judgement. */
export const Health = Type.Union([
  Type.Literal('unknown'),
  Type.Literal('healthy'),
  Type.Literal('unhealthy'),
])
export type Health = Static<typeof Health>

/** A condition as the agent reports it; types a reader does not know are dropped by it. */
export const ReportedCondition = Type.Object({
  type: Type.String({ maxLength: 64 }),
  status: Type.Union([Type.Literal('True'), Type.Literal('False'), Type.Literal('Unknown')]),
  reason: Type.String({ maxLength: 64 }),
  message: Detail,
})
export type ReportedCondition = Static<typeof ReportedCondition>

export const AgentStatus = Type.Object({
  health: Health,
  conditions: Type.Array(ReportedCondition, { maxItems: conditionTypes.length + 8 }),
  /** Revision of the bundle that is in force on the VM; empty before the first. */
  bundleRevision: Type.String({ maxLength: 64 }),
  sidecarVersion: Type.Optional(Type.String({ maxLength: 64 })),
  /** How often the sidecar was started again since the agent started. */
  sidecarRestarts: Type.Integer({ minimum: 0 }),
  /** The bundle needs another sidecar process, everything for it is there, and the agent waits for `restart`. */
  restartPending: Type.Optional(Type.Boolean()),
})
export type AgentStatus = Static<typeof AgentStatus>

/** Why a VM is to drain; the words that people see. */
export const drainReasons = ['shutdown', 'operator', 'scale-in', 'removed', 'preemption', 'upgrade'] as const
export const DrainReason = Type.Enum(drainReasons)
export type DrainReason = Static<typeof DrainReason>

/** What follows when the VM is drained: leave the mesh, or stay drained with the sidecar running. */
export const AfterDrain = Type.Union([Type.Literal('leave'), Type.Literal('hold')])
export type AfterDrain = Static<typeof AfterDrain>

/** Agent → controller. */
export const Up = Type.Union([
  Type.Object({
    kind: Type.Literal('hello'),
    wire: Type.Integer({ minimum: 1 }),
    agentVersion: Type.String({ maxLength: 64 }),
    bootId: Type.String({ maxLength: 64 }),
    status: AgentStatus,
  }),
  Type.Object({ kind: Type.Literal('heartbeat') }),
  Type.Object({ kind: Type.Literal('status'), status: AgentStatus }),
  /** Facts about the machine (flat, short texts); shown to people, believed by nobody. */
  Type.Object({
    kind: Type.Literal('facts'),
    facts: Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 256 })),
  }),
  Type.Object({ kind: Type.Literal('drain-request'), reason: DrainReason, after: AfterDrain }),
  Type.Object({
    kind: Type.Literal('drained'),
    /** `quiet`: nothing was open. `deadline`: the deadline came first and `openRequests` were cut. */
    result: Type.Union([Type.Literal('quiet'), Type.Literal('deadline')]),
    openRequests: Type.Integer({ minimum: 0 }),
    openConnections: Type.Integer({ minimum: 0 }),
  }),
  Type.Object({ kind: Type.Literal('left') }),
])
export type Up = Static<typeof Up>

/** Controller → agent. */
export const Down = Type.Union([
  Type.Object({
    kind: Type.Literal('welcome'),
    wire: Type.Integer({ minimum: 1 }),
    /** Number of this stream; a VM's newest stream has the highest. */
    epoch: Type.Integer({ minimum: 1 }),
    heartbeatMs: Type.Integer({ minimum: 100 }),
    lostAfterMs: Type.Integer({ minimum: 200 }),
    bundleRevision: Type.String({ maxLength: 64 }),
    /** Running sidecars are started anew only after `restart`; absent: as soon as the bundle asks for it. */
    pacesRestarts: Type.Optional(Type.Boolean()),
    /** Names this stream; see `RenewEvidence`. */
    session: Type.Optional(StreamSession),
    now: Time,
  }),
  Type.Object({ kind: Type.Literal('refresh'), bundleRevision: Type.String({ maxLength: 64 }) }),
  /** The endpoint is closed: wait until quiet, and start the sidecar anew; `restartPending` ends with that. */
  Type.Object({
    kind: Type.Literal('restart'),
    deadlineMs: Type.Integer({ minimum: 0 }),
    quietMs: Type.Integer({ minimum: 0 }),
  }),
  /** The endpoint is closed: wait until quiet, drain Envoy, and say `drained`. */
  Type.Object({
    kind: Type.Literal('drain'),
    reason: DrainReason,
    after: AfterDrain,
    /** Milliseconds from receipt; a duration, since clocks differ. */
    deadlineMs: Type.Integer({ minimum: 0 }),
    quietMs: Type.Integer({ minimum: 0 }),
    /** The last open endpoint of its service goes with this VM: requests will fail, and that is known. */
    lastEndpoint: Type.Boolean(),
  }),
  /** The entry is gone. `revoked`: this key will not be accepted again. */
  Type.Object({ kind: Type.Literal('bye'), revoked: Type.Boolean() }),
])
export type Down = Static<typeof Down>

/** WebSocket close codes (RFC 6455, private range) and whether the agent should come back. */
export const closeCodes = {
  /** A newer stream of the same VM took over. */
  replaced: 4001,
  /** The VM is revoked; do not come back with this key. */
  revoked: 4003,
  /** A message did not fit its schema. */
  protocol: 4400,
  /** Wire versions are more than one apart. */
  version: 4426,
  /** The controller stops or is too busy; come back with jitter. */
  busy: 4503,
} as const
