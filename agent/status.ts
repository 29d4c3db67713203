import type { AgentStatus, Health } from '../shared/api/stream.ts'
import type { Clock } from '../shared/clock.ts'
import {
  type Condition,
  type ConditionStatus,
  type ConditionType,
  withCondition,
} from '../shared/conditions.ts'

/** Where the agent is in its life; the words that `mooring-agent status` shows. */
export const stages = [
  'starting',
  'joining',
  'converging',
  'serving',
  'draining',
  'held',
  'leaving',
  'left',
  'revoked',
] as const
export type Stage = (typeof stages)[number]

/** What is true of this VM, as the agent knows it. */
export interface StatusBoard {
  set(type: ConditionType, status: ConditionStatus, reason: string, message?: string): void
  setHealth(health: Health): void
  setStage(stage: Stage): void
  /** Something that `facts` tells has changed. */
  touch(): void
  conditions(): readonly Condition[]
  readonly health: Health
  readonly stage: Stage
  /** As it goes up the stream. */
  report(): AgentStatus
  /** Told once after any number of changes in a row. */
  onChange(listener: () => void): () => void
}

export interface StatusBoardDeps {
  readonly clock: Clock
  /** What the report says besides conditions and health. */
  readonly facts: () => Pick<
    AgentStatus,
    'bundleRevision' | 'sidecarRestarts' | 'sidecarVersion' | 'restartPending'
  >
}

const longestMessage = 2000

export function createStatusBoard({ clock, facts }: StatusBoardDeps): StatusBoard {
  const listeners = new Set<() => void>()
  let conditions: readonly Condition[] = []
  let health: Health = 'unknown'
  let stage: Stage = 'starting'
  let isTold = true

  const changed = () => {
    if (!isTold) return
    isTold = false
    queueMicrotask(() => {
      isTold = true
      for (const listener of listeners) listener()
    })
  }

  return {
    set(type, status, reason, message = '') {
      const before = conditions
      const condition = { type, status, reason, message: message.slice(0, longestMessage) }
      conditions = withCondition(conditions, condition, clock.now())
      if (conditions !== before) changed()
    },
    setHealth(next) {
      if (next === health) return
      health = next
      changed()
    },
    setStage(next) {
      if (next === stage) return
      stage = next
      changed()
    },
    touch: changed,
    conditions: () => conditions,
    get health() {
      return health
    },
    get stage() {
      return stage
    },
    report: () => ({
      health,
      conditions: conditions.map(({ type, status, reason, message }) => ({ type, status, reason, message })),
      ...facts(),
    }),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
