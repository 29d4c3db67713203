import type { FailedRequest } from '../world/load.ts'

/** A time in which requests to one VM cannot but fail: it lost power, its network or its sidecar. */
export interface Window {
  /** The VM by the name under which it answers. */
  readonly victim: string
  readonly reason: string
  /** Unix milliseconds. */
  readonly from: number
  /** Absent while it lasts. */
  until?: number
}

/**
 * Whether a failed request is explained by a window. It is when it was under way at some time of the window, and nobody
 * but the victim had begun to answer it: what another VM had begun must be finished whatever happens elsewhere.
 */
export function isExcused(failure: FailedRequest, windows: readonly Window[]): boolean {
  return windows.some(
    ({ victim, from, until = Number.POSITIVE_INFINITY }) =>
      failure.requestBegunAt <= until &&
      failure.time >= from &&
      (failure.instance === undefined || failure.instance === victim),
  )
}
