import type { Bundle } from '../../shared/api/bundle.ts'
import type { Health } from '../../shared/api/stream.ts'
import type { SidecarState } from '../sidecar/supervisor.ts'
import type { Judgement } from './judge.ts'

/** All that decides whether peers may send requests. */
export interface HealthInput {
  readonly sidecar: Pick<SidecarState, 'running' | 'downForGood' | 'lastExit'>
  /** Undefined until Envoy was asked for the first time since the sidecar started. */
  readonly envoyReady: boolean | undefined
  readonly capture: { readonly wanted: Bundle['capture']['enabled']; readonly applied: boolean }
  readonly application: Pick<Judgement, 'verdict' | 'detail'>
}

export interface HealthReport {
  readonly health: Health
  /** CamelCase, or a code of the error catalogue. */
  readonly reason: string
  readonly detail: string
}

/**
 * Sidecar, capture and application together. `unknown` only before the first judgement of each part: what was
 * well once and is not any more is `unhealthy`.
 */
export function healthReport({ sidecar, envoyReady, capture, application }: HealthInput): HealthReport {
  if (!sidecar.running) {
    if (sidecar.lastExit === undefined)
      return report('unknown', 'SidecarNotStarted', 'the sidecar was not started yet')
    const detail = sidecar.downForGood
      ? 'the sidecar fails again and again'
      : 'the sidecar stopped and is started again'
    return report('unhealthy', 'SIDECAR_EXITED', detail)
  }
  if (envoyReady !== true) {
    const first = envoyReady === undefined && sidecar.lastExit === undefined
    return report(first ? 'unknown' : 'unhealthy', 'SIDECAR_NOT_READY', 'Envoy is not ready')
  }
  if (capture.wanted && !capture.applied) {
    return report('unhealthy', 'CaptureMissing', 'traffic does not go through the sidecar')
  }
  if (application.verdict === 'unknown') return report('unknown', 'ApplicationUnknown', application.detail)
  if (application.verdict === 'unhealthy')
    return report('unhealthy', 'APPLICATION_UNHEALTHY', application.detail)
  return report('healthy', 'Healthy', '')
}

function report(health: Health, reason: string, detail: string): HealthReport {
  return { health, reason, detail }
}
