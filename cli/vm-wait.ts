import { VmView } from '../shared/api/operator.ts'
import { createBackoff } from '../shared/backoff.ts'
import type { Clock } from '../shared/clock.ts'
import { isMooringError, MooringError } from '../shared/errors.ts'
import type { Client } from './client.ts'
import { renderDuration } from './duration.ts'
import { vmPath } from './vm-reference.ts'

export interface VmWaitDeps {
  readonly client: Client
  readonly clock: Clock
  readonly random: () => number
  readonly signal: AbortSignal
}

/**
 * Waits until a VM left, or is drained; gives what was last seen of it. Throws `DRAIN_DEADLINE` when that takes
 * longer than `limitSeconds`.
 */
export async function waitForVm(
  deps: VmWaitDeps,
  vm: VmView,
  goal: 'left' | 'drained',
  limitSeconds: number,
): Promise<VmView> {
  const { client, clock, random, signal } = deps
  const until = clock.now() + limitSeconds * 1000
  const pause = createBackoff({ baseMs: 250, maxMs: 2000, floorMs: 100, random })
  let last = vm
  while (!reached(last, goal)) {
    if (clock.now() >= until) {
      const detail = `${vm.id} is still ${last.phase} after ${renderDuration(limitSeconds * 1000)}; it goes on without this command`
      throw new MooringError('DRAIN_DEADLINE', { detail })
    }
    await clock.sleep(pause.next(), signal)
    try {
      last = await client.call('GET', vmPath(vm.id), VmView)
    } catch (error) {
      // Whoever is no longer in the list has left.
      if (isMooringError(error, 'NOT_FOUND')) return { ...last, phase: 'left' }
      throw error
    }
  }
  return last
}

function reached(vm: VmView, goal: 'left' | 'drained'): boolean {
  if (vm.phase === 'left') return true
  return goal === 'drained' && vm.conditions.some((c) => c.type === 'Drained' && c.status === 'True')
}
