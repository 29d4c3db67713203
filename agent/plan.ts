import type { Health } from '../shared/api/stream.ts'
import type { ConditionStatus, ConditionType } from '../shared/conditions.ts'
import type { Stage } from './status.ts'

/** A span of validity, Unix milliseconds. */
export interface Span {
  readonly from: number
  readonly until: number
}

/**
 * When to renew what is valid in `span`: near the middle of its life, so that a whole quarter of it is left for
 * a controller that cannot be reached. `random` in [0, 1) spreads a fleet that was started at once.
 */
export function renewAt({ from, until }: Span, random: number): number {
  return Math.round(from + (until - from) * (0.45 + 0.1 * random))
}

/** Whether an identity is good enough to open connections with. */
export function isUsable({ until }: Span, now: number): boolean {
  // A certificate that ends during a handshake is of no use.
  return now < until - 5_000
}

/** What the health monitor found out. */
export interface HealthFinding {
  readonly health: Health
  readonly reason: string
  readonly detail: string
}

/** Parts on which serving depends, in the order in which a request meets their faults. */
const parts = ['SidecarRunning', 'SidecarReady', 'TrafficCaptured', 'ApplicationHealthy'] as const

const partOfReason: Readonly<Record<string, (typeof parts)[number]>> = {
  SidecarNotStarted: 'SidecarRunning',
  SIDECAR_EXITED: 'SidecarRunning',
  SIDECAR_NOT_READY: 'SidecarReady',
  CaptureMissing: 'TrafficCaptured',
  ApplicationUnknown: 'ApplicationHealthy',
  APPLICATION_UNHEALTHY: 'ApplicationHealthy',
}

export interface PartCondition {
  readonly type: ConditionType
  readonly status: ConditionStatus
  readonly reason: string
  readonly message: string
}

/**
 * The conditions that a finding decides: the part at fault and those before it, which are well. What comes
 * after a fault cannot be seen and stays as it was.
 */
export function conditionsOf({ health, reason, detail }: HealthFinding): readonly PartCondition[] {
  const fault = partOfReason[reason]
  const end = fault === undefined ? parts.length : parts.indexOf(fault)
  const well = parts
    .slice(0, end)
    .map((type): PartCondition => ({ type, status: 'True', reason: 'Done', message: '' }))
  if (fault === undefined) return well
  const status = health === 'unhealthy' ? 'False' : 'Unknown'
  return [...well, { type: fault, status, reason, message: detail }]
}

/** The stage of a VM that is neither leaving nor gone. */
export function stageOf(facts: { readonly joined: boolean; readonly health: Health }): Stage {
  if (!facts.joined) return 'joining'
  return facts.health === 'healthy' ? 'serving' : 'converging'
}

/** Why a VM that wants to leave need not wait for the controller's word any longer. */
export interface LeaveFacts {
  readonly joined: boolean
  readonly connected: boolean
  /** Milliseconds since the wish. */
  readonly waitedMs: number
}

/** Longest wait for a controller that cannot be reached, and for one that does not answer. */
export const leavePatience = { unreachableMs: 5_000, silentMs: 20_000 } as const

/** Whether to drain without the controller having closed the endpoint. */
export function drainsAlone({ joined, connected, waitedMs }: LeaveFacts): boolean {
  if (!joined) return true
  return waitedMs >= (connected ? leavePatience.silentMs : leavePatience.unreachableMs)
}
