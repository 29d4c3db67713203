import type { LoadProtocol, LoadSummary, ProtocolCount } from '../../testbed/apps/load-report.ts'

/** Requests of one or several load clients together, with the first failures of each. */
export interface LoadCounts {
  readonly requests: number
  readonly failed: number
  readonly byProtocol: Readonly<Partial<Record<LoadProtocol, ProtocolCount>>>
  /** Unix milliseconds. */
  readonly startedAt: number
}

/** Adds load clients up. */
export function countsOf(summaries: readonly LoadSummary[]): LoadCounts {
  const byProtocol: Partial<Record<LoadProtocol, ProtocolCount>> = {}
  for (const summary of summaries) {
    for (const [protocol, count] of Object.entries(summary.byProtocol) as [LoadProtocol, ProtocolCount][]) {
      const sum = byProtocol[protocol] ?? { requests: 0, failed: 0, slowestMs: 0, errors: [] }
      byProtocol[protocol] = {
        requests: sum.requests + count.requests,
        failed: sum.failed + count.failed,
        slowestMs: Math.max(sum.slowestMs, count.slowestMs),
        errors: [...sum.errors, ...count.errors],
      }
    }
  }
  return {
    requests: summaries.reduce((sum, { requests }) => sum + requests, 0),
    failed: summaries.reduce((sum, { failed }) => sum + failed, 0),
    byProtocol,
    startedAt: Math.min(...summaries.map(({ startedAt }) => startedAt)),
  }
}
