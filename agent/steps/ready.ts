import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Envoy } from '../sidecar/envoy.ts'
import type { Step } from './step.ts'

export interface ReadyStepDeps {
  readonly envoy: Envoy
  readonly clock: Clock
  /** Longest wait of one `apply`; convergence then says why, and comes again. @defaultValue 10 s */
  readonly waitMs?: number
  readonly random?: () => number
}

/** Envoy is usually ready after 0.2 s: asking often at first costs little and shortens the boot. */
const eagerMs = 2000
const eagerPollMs = 15

/** Waits until Envoy serves. Capture comes after it: a VM is never cut off by a sidecar that does not start. */
export function createReadyStep(deps: ReadyStepDeps): Step {
  const { envoy, clock, waitMs = 10_000 } = deps
  return {
    name: 'ready',
    condition: 'SidecarReady',
    check: async (_bundle, signal) => (await envoy.readiness(signal)).ready,
    async apply(_bundle, signal) {
      const start = clock.now()
      const random = deps.random && { random: deps.random }
      const backoff = createBackoff({ baseMs: 50, maxMs: 1000, floorMs: eagerPollMs, ...random })
      for (;;) {
        const { ready, detail } = await envoy.readiness(signal)
        if (ready) return
        signal.throwIfAborted()
        const waited = clock.now() - start
        if (waited >= waitMs) throw new MooringError('SIDECAR_NOT_READY', { detail })
        await clock.sleep(waited < eagerMs ? eagerPollMs : backoff.next(), signal)
      }
    },
  }
}
