import type { LoadSummary } from '../testbed/apps/load-report.ts'

/** The comment line by which a scene tells the runner its figures; see `test/run/tally.ts`. */
export function sceneLine(name: string, summary: Pick<LoadSummary, 'requests' | 'failed'>): string {
  return `mooring-scene ${JSON.stringify({ name, requests: summary.requests, failed: summary.failed })}`
}
