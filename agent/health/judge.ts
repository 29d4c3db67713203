import type { Probe } from '../../shared/api/bundle.ts'

/** What one probe saw. */
export interface ProbeResult {
  readonly ok: boolean
  /** What it saw, in words. */
  readonly detail: string
}

export type Verdict = 'unknown' | 'healthy' | 'unhealthy'

/** What a series of probes says of the application so far. */
export interface Judgement {
  readonly verdict: Verdict
  readonly detail: string
  /** Results in a row that say the same as the last one. */
  readonly streak: number
  readonly lastOk: boolean | undefined
  /** It has been healthy at least once. */
  readonly everHealthy: boolean
}

export const unjudged: Judgement = {
  verdict: 'unknown',
  detail: 'not probed yet',
  streak: 0,
  lastOk: undefined,
  everHealthy: false,
}

/** Thresholds; the defaults are Kubernetes' and Istio's, but for failures: one lost packet closes no endpoint. */
export function thresholds(probe: Probe): { readonly failures: number; readonly successes: number } {
  return { failures: probe.failures ?? 2, successes: probe.successes ?? 1 }
}

/** The judgement after one more result. A healthy application stays so until it failed often enough in a row. */
export function judge(before: Judgement, result: ProbeResult, probe: Probe): Judgement {
  const { failures, successes } = thresholds(probe)
  const streak = before.lastOk === result.ok ? before.streak + 1 : 1
  const enough = streak >= (result.ok ? successes : failures)
  // Nothing is lost by calling an application that never answered unhealthy after its first failure.
  const decided = enough || (!result.ok && !before.everHealthy)
  const verdict: Verdict = decided ? (result.ok ? 'healthy' : 'unhealthy') : before.verdict
  return {
    verdict,
    detail: result.detail,
    streak,
    lastOk: result.ok,
    everHealthy: before.everHealthy || verdict === 'healthy',
  }
}
