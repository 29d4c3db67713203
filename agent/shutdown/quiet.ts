import type { InboundCount } from '../sidecar/statistics.ts'

/** What Envoy counted, and when. Unix milliseconds. */
export interface Sample extends InboundCount {
  readonly at: number
}

/** What a series of samples says so far. */
export interface Quiet {
  readonly last: Sample
  /** Since when nothing new has arrived. */
  readonly since: number
}

/** The series begins: what arrived before is not counted. */
export function begin(sample: Sample): Quiet {
  return { last: sample, since: sample.at }
}

/**
 * One more sample. Something has arrived when the total differs: also when it is smaller, because then Envoy
 * started anew and the count of before is lost.
 */
export function observe(quiet: Quiet, sample: Sample): Quiet {
  return { last: sample, since: sample.arrived === quiet.last.arrived ? quiet.since : sample.at }
}

/** Whether no request came for `quietMs` and none is open. Idle HTTP connections do not count. */
export function isQuiet({ last, since }: Quiet, quietMs: number): boolean {
  return last.activeRequests === 0 && last.activeConnections === 0 && last.at - since >= quietMs
}
