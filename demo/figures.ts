import type { LoadSummary } from '../test/testbed/apps/load-report.ts'

/** How one VM came into the mesh. Times are milliseconds from the start of its agent. */
export interface BootFigures {
  readonly vm: string
  readonly readyMs: number
  /** Until a peer had an answer from it; absent for a VM that only calls. */
  readonly firstAnswerMs?: number
  /** When each condition became true, by the controller's record. */
  readonly conditions: Readonly<Record<string, number>>
}

/** Requests of a load: how many, and how many failed. */
export interface Count {
  readonly requests: number
  readonly failed: number
}

export interface LoadFigures extends Count {
  readonly byProtocol: Readonly<Record<string, Count>>
}

export interface TrafficFigures {
  /** VMs that answered. */
  readonly answeredBy: readonly string[]
  /** SPIFFE ids: who called as the server's sidecar saw it, and who answered. */
  readonly caller: string | null
  readonly server: string | null
  readonly plainText: { readonly refused: boolean; readonly error: string }
}

export interface ScaleInFigures extends LoadFigures {
  readonly vm: string
  /** From SIGTERM until the client's Envoy no longer had the endpoint. */
  readonly closedMs: number
  /** From SIGTERM to the end of the agent. */
  readonly leftMs: number
}

export interface PowerCutFigures extends LoadFigures {
  readonly vm: string
  /** From the cut until the client's Envoy no longer had the endpoint. */
  readonly closedMs: number
  /** From the cut to the begin of the last request that failed; 0 when none did. */
  readonly failingMs: number
  /** Of those that failed, begun when the endpoint was closed already. */
  readonly failedAfterClosed: number
}

/** All that the demo measured; what it did not get to is absent. */
export interface DemoFigures {
  /** Where the client is no VM. */
  readonly client?: 'pod'
  readonly boots: readonly BootFigures[]
  readonly traffic?: TrafficFigures
  readonly scaleIn?: ScaleInFigures
  readonly replacement?: BootFigures
  readonly powerCut?: PowerCutFigures
}

/** The counts of a load, without what only people read. */
export function loadFigures({ requests, failed, byProtocol }: LoadSummary): LoadFigures {
  const counts = Object.entries(byProtocol).map(([protocol, count]) => [
    protocol,
    { requests: count.requests, failed: count.failed },
  ])
  return { requests, failed, byProtocol: Object.fromEntries(counts) }
}
