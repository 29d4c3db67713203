import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Envoy } from '../sidecar/envoy.ts'
import type { PortGuard } from '../sidecar/port-guard.ts'
import type { Step } from './step.ts'

export interface ReadyStepDeps {
  readonly envoy: Envoy
  readonly ports: PortGuard
  /** Stops the sidecar; the step before this one starts it again. */
  readonly stop: (signal: AbortSignal) => Promise<void>
  /** What can be done while Envoy starts; what becomes of it is seen later. */
  readonly meanwhile?: (bundle: Bundle, signal: AbortSignal) => Promise<void>
  readonly clock: Clock
  /** Longest wait of one `apply`; convergence then says why, and comes again. @defaultValue 10 s */
  readonly waitMs?: number
  readonly random?: () => number
}

/** Envoy is usually ready after 0.2 s: asking often at first costs little and shortens the boot. */
const eagerMs = 2000
const eagerPollMs = 15
/** How often it is asked whether somebody else has a port, while Envoy is not ready. */
const portsMs = 1000

/** Waits until Envoy serves. Capture comes after it: a VM is never cut off by a sidecar that does not start. */
export function createReadyStep(deps: ReadyStepDeps): Step {
  const { envoy, ports, clock, waitMs = 10_000 } = deps

  /** Envoy asks for a port once: a sidecar that did not get it is of no use when the port is free again. */
  async function lookAtPorts(bundle: Bundle, signal: AbortSignal): Promise<void> {
    try {
      await ports.mustBeFree(bundle)
    } catch (error) {
      if (isMooringError(error, 'PORT_IN_USE')) await deps.stop(signal)
      throw error
    }
  }

  return {
    name: 'ready',
    condition: 'SidecarReady',
    check: async (_bundle, signal) => (await envoy.readiness(signal)).ready,
    async apply(bundle, signal) {
      deps.meanwhile?.(bundle, signal).catch(() => {})
      const start = clock.now()
      let lookedAt = start
      const random = deps.random && { random: deps.random }
      const backoff = createBackoff({ baseMs: 50, maxMs: 1000, floorMs: eagerPollMs, ...random })
      for (;;) {
        const { ready, detail } = await envoy.readiness(signal)
        if (ready) return
        signal.throwIfAborted()
        const waited = clock.now() - start
        const isLate = waited >= waitMs
        if (isLate || clock.now() - lookedAt >= portsMs) {
          lookedAt = clock.now()
          await lookAtPorts(bundle, signal)
        }
        if (isLate) throw new MooringError('SIDECAR_NOT_READY', { detail })
        await clock.sleep(waited < eagerMs ? eagerPollMs : backoff.next(), signal)
      }
    },
  }
}
