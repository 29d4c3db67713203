export const loadProtocols = ['http1', 'http2', 'grpc', 'download', 'tcp'] as const
export type LoadProtocol = (typeof loadProtocols)[number]

export interface LoadError {
  /** Unix milliseconds. */
  readonly time: number
  readonly code: string
  readonly detail: string
  /** Who had begun to answer, where that is known. */
  readonly instance?: string
}

export interface ProtocolCount {
  requests: number
  failed: number
  slowestMs: number
  /** The first 20. */
  errors: LoadError[]
}

export interface InstanceCount {
  answers: number
  firstAnswerAt: number
  lastAnswerAt: number
  /** When the newest request that it answered was begun: after this, peers sent it nothing new. */
  lastNewRequestAt: number
}

export interface TimelineSecond {
  /** Seconds since the start. */
  readonly second: number
  requests: number
  failed: number
  answersBy: Record<string, number>
}

export interface LoadSummary {
  readonly event: 'summary'
  readonly startedAt: number
  readonly endedAt: number
  readonly requests: number
  readonly failed: number
  /** Were at work when the client was told a second time to stop; in neither other number. */
  readonly cancelled: number
  readonly firstOkAt: number | null
  readonly byProtocol: Partial<Record<LoadProtocol, ProtocolCount>>
  readonly instances: Record<string, InstanceCount>
  readonly timeline: readonly TimelineSecond[]
}

/** Counts what a load client sees. */
export interface LoadReport {
  /** An instance began to answer a request; `isNew` is false for further lines on an open TCP connection. */
  answered(instance: string, requestBegunAt: number, isNew: boolean): void
  succeeded(protocol: LoadProtocol, requestBegunAt: number): void
  failed(protocol: LoadProtocol, error: Omit<LoadError, 'time'>, requestBegunAt: number): void
  cancelled(): void
  summary(): LoadSummary
}

const keptErrors = 20

/** An empty report; `emit` gets an event for the first success and, where wanted, for each failure. */
export function createLoadReport(deps: {
  readonly now: () => number
  readonly protocols: readonly LoadProtocol[]
  readonly emit: (event: object) => void
  readonly everyFailure: boolean
}): LoadReport {
  const { now } = deps
  const startedAt = now()
  const byProtocol: Partial<Record<LoadProtocol, ProtocolCount>> = {}
  for (const protocol of deps.protocols)
    byProtocol[protocol] = { requests: 0, failed: 0, slowestMs: 0, errors: [] }
  const instances: Record<string, InstanceCount> = {}
  const timeline = new Map<number, TimelineSecond>()
  let firstOkAt: number | null = null
  let cancelled = 0

  function count(protocol: LoadProtocol): ProtocolCount {
    byProtocol[protocol] ??= { requests: 0, failed: 0, slowestMs: 0, errors: [] }
    return byProtocol[protocol]
  }

  function thisSecond(): TimelineSecond {
    const second = Math.floor((now() - startedAt) / 1000)
    const found = timeline.get(second) ?? { second, requests: 0, failed: 0, answersBy: {} }
    timeline.set(second, found)
    return found
  }

  function total(key: 'requests' | 'failed'): number {
    return Object.values(byProtocol).reduce((sum, each) => sum + each[key], 0)
  }

  function ended(protocol: LoadProtocol, requestBegunAt: number): ProtocolCount {
    const counted = count(protocol)
    counted.requests++
    counted.slowestMs = Math.max(counted.slowestMs, now() - requestBegunAt)
    thisSecond().requests++
    return counted
  }

  return {
    answered(instance, requestBegunAt, isNew) {
      const at = now()
      instances[instance] ??= { answers: 0, firstAnswerAt: at, lastAnswerAt: at, lastNewRequestAt: 0 }
      const counted = instances[instance]
      counted.answers++
      counted.lastAnswerAt = at
      if (isNew) counted.lastNewRequestAt = Math.max(counted.lastNewRequestAt, requestBegunAt)
      const { answersBy } = thisSecond()
      answersBy[instance] = (answersBy[instance] ?? 0) + 1
    },
    succeeded(protocol, requestBegunAt) {
      ended(protocol, requestBegunAt)
      if (firstOkAt !== null) return
      firstOkAt = now()
      deps.emit({ event: 'first-ok', time: firstOkAt, protocol })
    },
    failed(protocol, error, requestBegunAt) {
      const counted = ended(protocol, requestBegunAt)
      counted.failed++
      thisSecond().failed++
      const full: LoadError = { time: now(), ...error }
      if (counted.errors.length < keptErrors) counted.errors.push(full)
      if (deps.everyFailure) deps.emit({ event: 'failure', protocol, requestBegunAt, ...full })
    },
    cancelled() {
      cancelled++
    },
    summary: () => ({
      event: 'summary',
      startedAt,
      endedAt: now(),
      requests: total('requests'),
      failed: total('failed'),
      cancelled,
      firstOkAt,
      byProtocol,
      instances,
      timeline: [...timeline.values()],
    }),
  }
}
