import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Mesh, ObjectRef } from '../mesh/mesh.ts'

/**
 * Waits for istiod to take in that endpoints are closed. It waits beside the queue: while many VMs drain and
 * istiod is slow, another VM's endpoint must be closed at once all the same.
 */
export interface Uptake {
  /** Whether the wait named `what` is over for this VM. A new name begins a wait; `over` is called at its end. */
  isOver(vm: string, what: string, ref: ObjectRef): boolean
  forget(vm: string): void
  close(): void
}

export interface UptakeDeps {
  readonly mesh: Pick<Mesh, 'taken'>
  readonly clock: Clock
  readonly log: Log
  /** Longest wait; the agent measures quiet on its own Envoy, so going on without istiod's word is safe. */
  readonly withinMs: number
  readonly over: (vm: string) => void
}

interface Wait {
  readonly what: string
  readonly abort: AbortController
  isOver: boolean
}

export function createUptake(deps: UptakeDeps): Uptake {
  const { mesh, clock, log, withinMs, over } = deps
  const waits = new Map<string, Wait>()

  async function run(vm: string, wait: Wait, ref: ObjectRef): Promise<void> {
    const { abort } = wait
    const done = new AbortController()
    clock.sleep(withinMs, done.signal).then(
      () => abort.abort(new MooringError('MESH_LAGS')),
      () => {},
    )
    try {
      await mesh.taken(ref, abort.signal)
    } catch (error) {
      if (waits.get(vm) !== wait) return
      log.warn('istiod has not confirmed that an endpoint is closed', { vm, error: errorText(error) })
    } finally {
      done.abort()
    }
    if (waits.get(vm) !== wait) return
    wait.isOver = true
    over(vm)
  }

  function forget(vm: string): void {
    const wait = waits.get(vm)
    waits.delete(vm)
    wait?.abort.abort()
  }

  return {
    isOver(vm, what, ref) {
      const known = waits.get(vm)
      if (known?.what === what) return known.isOver
      forget(vm)
      const wait: Wait = { what, abort: new AbortController(), isOver: false }
      waits.set(vm, wait)
      void run(vm, wait, ref)
      return false
    },
    forget,
    close() {
      for (const vm of [...waits.keys()]) forget(vm)
    },
  }
}
