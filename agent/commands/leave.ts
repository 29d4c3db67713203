import type { Clock } from '../../shared/clock.ts'
import { isMooringError } from '../../shared/errors.ts'
import type { State } from '../state.ts'

export interface LeaveCommandDeps {
  /** Asks the running agent. Throws `NOT_RUNNING`. */
  readonly ask: () => Promise<unknown>
  readonly state: () => Promise<State | undefined>
  /** Leaves in place of the agent. Throws `ALREADY_RUNNING`. */
  readonly alone: () => Promise<unknown>
  readonly clock: Clock
}

/** An agent that starts listens within this time. */
const startMs = 10_000
const pollMs = 200

/**
 * Has the running agent take this VM out of the mesh; where none runs, this process does it: at a shutdown nobody starts
 * an agent that died any more. Throws `NOT_RUNNING` where no agent runs and nothing is to be left.
 */
export async function leaveOnce({ ask, state, alone, clock }: LeaveCommandDeps): Promise<unknown> {
  const deadline = clock.now() + startMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isMooringError(error, 'NOT_RUNNING') || isOut(await state())) throw error
    }
    try {
      return await alone()
    } catch (error) {
      // It has just started, and does not listen yet.
      if (!isMooringError(error, 'ALREADY_RUNNING') || clock.now() >= deadline) throw error
    }
    await clock.sleep(pollMs)
  }
}

/** Never joined, or left and the controller knows. */
function isOut(state: State | undefined): boolean {
  return state?.identity === undefined || (state.left !== undefined && state.left.untold !== true)
}
