import type { Log } from '../../shared/log.ts'
import type { Effects } from '../effects.ts'
import { type StateStore, stateVersion } from '../state.ts'
import { belongingOf, type MachineMark, mergedMark } from './belonging.ts'
import { makeKey } from './key.ts'

export interface ClaimDeps {
  readonly store: StateStore
  readonly mark: MachineMark
  readonly clock: { now(): number }
  readonly effects: Effects
  readonly log: Log
}

/**
 * Makes the state this machine's: that of another machine is dropped, with its key, and this one joins as a VM of its
 * own. Call it before anything else uses the state.
 */
export async function claimState({ store, mark, clock, effects, log }: ClaimDeps): Promise<void> {
  const state = store.current()
  if (state === undefined) return
  const belonging = belongingOf(state.machine, mark)
  if (belonging === 'own') {
    const machine = mergedMark(state.machine, mark)
    if (JSON.stringify(machine) !== JSON.stringify(state.machine ?? {}))
      await store.write({ ...state, machine })
    return
  }
  const vm = state.identity?.vm ?? state.dropped?.vm
  const why = belonging.differs
  log.warn('the identity on this disk was given to another machine: it is dropped', { formerVm: vm, why })
  const dropped = { at: clock.now(), why, ...(vm !== undefined && { vm }) }
  const fresh = { version: stateVersion, privateKey: makeKey(), machine: mark, dropped } as const
  await effects.run('key-stored', () => store.write(fresh))
}
