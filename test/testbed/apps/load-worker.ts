import { setTimeout as sleep } from 'node:timers/promises'
import { asLoadFailure, type LoadCaller, LoadFailure } from './load-caller.ts'
import type { LoadProtocol, LoadReport } from './load-report.ts'

export interface LoadWorkerDeps {
  readonly protocol: LoadProtocol
  readonly caller: LoadCaller
  readonly report: LoadReport
  /** Time from the begin of one request to the next; a late one is not made up for. */
  readonly intervalMs: number
  /** A request that takes longer has failed. */
  readonly limitMs: number
  readonly now: () => number
  /** Ends the work after the request that is open. */
  readonly stop: AbortSignal
  /** Ends the request that is open, too. */
  readonly giveUp: AbortSignal
}

// A caller that fails at once must not spin.
const pauseAfterFailureMs = 50

/** Calls in its rhythm until told to stop. */
export async function runLoadWorker(deps: LoadWorkerDeps): Promise<void> {
  const { protocol, report, now } = deps
  let next = now()
  while (!deps.stop.aborted) {
    const begun = now()
    next = Math.max(next + deps.intervalMs, begun)
    try {
      await withLimit(deps, (signal) =>
        deps.caller.call({
          signal,
          answered: (instance, isNew = true) => report.answered(instance, begun, isNew),
        }),
      )
      report.succeeded(protocol, begun)
    } catch (error) {
      if (deps.giveUp.aborted) report.cancelled()
      else {
        const { code, message, instance } = asLoadFailure(error)
        report.failed(
          protocol,
          { code, detail: message, ...(instance === undefined ? {} : { instance }) },
          begun,
        )
        next = Math.max(next, now() + pauseAfterFailureMs)
      }
    }
    await sleep(Math.max(0, next - now()), undefined, { signal: deps.stop }).catch(() => {})
  }
  deps.caller.close()
}

async function withLimit(deps: LoadWorkerDeps, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const limit = new AbortController()
  const onGiveUp = () => limit.abort(new LoadFailure('CANCELLED', 'told to give up'))
  const timer = setTimeout(
    () => limit.abort(new LoadFailure('TIMEOUT', `no whole answer within ${deps.limitMs} ms`)),
    deps.limitMs,
  )
  deps.giveUp.addEventListener('abort', onGiveUp, { once: true })
  try {
    await work(limit.signal)
  } catch (error) {
    // Sockets say only that they were aborted; the reason is what the report needs.
    throw limit.signal.aborted ? limit.signal.reason : error
  } finally {
    clearTimeout(timer)
    deps.giveUp.removeEventListener('abort', onGiveUp)
  }
}
