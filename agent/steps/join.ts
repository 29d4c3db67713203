import type { Task } from '../converge.ts'
import type { ControllerTime } from '../host/clock-skew.ts'
import type { Joiner } from '../join/joiner.ts'
import { isUsable } from '../plan.ts'
import type { State } from '../state.ts'

export interface JoinTaskDeps {
  readonly joiner: Joiner
  readonly state: () => State | undefined
  readonly pool: string
  readonly time: Pick<ControllerTime, 'now'>
  /** There is a valid identity. */
  readonly joined: () => void
}

/** Whether the controller takes this VM by what is in its state. */
export function hasJoined({ identity, bundle, left, revoked }: State, pool: string, now: number): boolean {
  if (identity === undefined || bundle === undefined || left !== undefined || revoked !== undefined)
    return false
  const span = { from: identity.certificateFrom, until: identity.certificateUntil }
  return identity.pool === pool && isUsable(span, now)
}

/** Gets this VM its identity; nothing to do while it has one that is valid. */
export function createJoinTask({ joiner, state, pool, time, joined }: JoinTaskDeps): Task {
  return {
    name: 'join',
    condition: 'IdentityValid',
    async check() {
      const known = state()
      if (known === undefined || !hasJoined(known, pool, time.now())) return false
      joined()
      return true
    },
    async apply(signal) {
      await joiner.join(signal)
      joined()
    },
  }
}
