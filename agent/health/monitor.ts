import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import type { Envoy } from '../sidecar/envoy.ts'
import type { Supervisor } from '../sidecar/supervisor.ts'
import type { ApplicationWatch } from './application.ts'
import { type HealthReport, healthReport } from './report.ts'

/** One judgement of this VM, kept up to date. */
export interface HealthMonitor {
  /** Convergence is complete for this bundle: Envoy is ready and captured as wanted. Probes begin at once. */
  converged(bundle: Bundle): void
  /** A step failed or was taken back. */
  broken(part: 'envoy' | 'capture'): void
  report(): HealthReport
  /** Told at once when health, reason or detail changes. */
  onChange(listener: (report: HealthReport) => void): () => void
}

export interface HealthMonitorDeps {
  readonly supervisor: Pick<Supervisor, 'state' | 'onChange'>
  readonly envoy: Pick<Envoy, 'readiness'>
  readonly application: ApplicationWatch
  readonly clock: Clock
  /** Ends everything that this one started. */
  readonly signal: AbortSignal
  /** How often a ready Envoy is asked again. @defaultValue 5 s */
  readonly recheckMs?: number
  readonly random?: () => number
}

/** Follows supervisor, Envoy and application, and tells of every change within milliseconds. */
export function createHealthMonitor(deps: HealthMonitorDeps): HealthMonitor {
  const { supervisor, envoy, application, clock, signal, random, recheckMs = 5000 } = deps
  const listeners = new Set<(report: HealthReport) => void>()
  let envoyReady: boolean | undefined
  let captured = false
  let probeKey: string | undefined
  let bundle: Bundle | undefined
  let startedAt: number | undefined
  let wake = new AbortController()

  const look = (): HealthReport =>
    healthReport({
      sidecar: supervisor.state(),
      envoyReady,
      capture: { wanted: bundle?.capture.enabled ?? false, applied: captured },
      application: application.judgement(),
    })
  let last = look()

  const update = () => {
    const next = look()
    if (next.health === last.health && next.reason === last.reason && next.detail === last.detail) return
    last = next
    for (const listener of listeners) listener(next)
  }

  supervisor.onChange((state) => {
    // Another run, or none: what was known of Envoy was known of the one before.
    if (!state.running || state.startedAt !== startedAt) {
      envoyReady = envoyReady === undefined ? undefined : false
      startedAt = state.startedAt
    }
    update()
    wake.abort()
  })
  application.onChange(update)

  /** Asks a ready Envoy rarely, one that comes back often. Convergence is not needed for it: the rules stay. */
  const follow = async (): Promise<void> => {
    const backoff = createBackoff({ baseMs: 50, maxMs: 1000, floorMs: 15, ...(random && { random }) })
    for (;;) {
      const run = startedAt
      if (bundle !== undefined && supervisor.state().running) {
        const { ready } = await envoy.readiness(signal)
        if (run === startedAt && supervisor.state().running) {
          envoyReady = ready
          update()
        }
      }
      if (envoyReady !== false || !supervisor.state().running) backoff.reset()
      const pause = envoyReady === false && supervisor.state().running ? backoff.next() : recheckMs
      wake = new AbortController()
      await clock.sleep(pause, AbortSignal.any([signal, wake.signal])).catch(() => signal.throwIfAborted())
    }
  }
  // Only an abort ends it by an error.
  follow().catch(() => {})

  return {
    converged(next) {
      bundle = next
      envoyReady = true
      captured = true
      startedAt = supervisor.state().startedAt
      const key = JSON.stringify(next.probe ?? null)
      if (key !== probeKey) {
        probeKey = key
        application.watch(next.probe, signal)
      }
      update()
    },
    broken(part) {
      if (part === 'envoy') envoyReady = false
      else captured = false
      update()
      wake.abort()
    },
    report: () => last,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
