import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { sidecarUser } from './paths.ts'
import type { Run, SidecarRuns } from './process-group.ts'
import { createRestartPolicy, type RestartPolicy } from './restart-policy.ts'
import type { EnsureOptions, SidecarSpec, SidecarState, Supervisor } from './supervisor.ts'

export interface KeeperDeps {
  readonly clock: Clock
  readonly log: Log
  /** How a sidecar is started, found and ended. */
  readonly runs: SidecarRuns
  /** Keeps what a run writes small. */
  readonly rotateLog?: () => Promise<void>
  readonly random?: () => number
}

/** How often a run is looked at for its age and the size of its log. */
const mindMs = 15_000
/** How long a sidecar has to end when another specification takes its place. */
const replaceGraceMs = 5000

interface Keeper {
  /** What is started next. */
  spec: SidecarSpec
  /** Of what runs, or is started. */
  hash: string
  readonly abort: AbortController
  /** Settles with the first start; rejects when that failed. */
  readonly started: Promise<void>
  done: Promise<void>
  run: Run | undefined
}

/** Keeps one sidecar running, whatever runs it: started again with pauses, one call after the other. */
export function createKeeper(deps: KeeperDeps): Supervisor {
  const { clock, log, runs } = deps
  const listeners = new Set<(state: SidecarState) => void>()
  let state: SidecarState = { running: false, restarts: 0, downForGood: false }
  let keeper: Keeper | undefined
  let queue: Promise<unknown> = Promise.resolve()

  /** Calls one after the other: a stop never meets half a start. */
  const inTurn = (fn: () => Promise<void>): Promise<void> => {
    const result = queue.then(fn)
    queue = result.catch(() => {})
    return result
  }

  const publish = (next: SidecarState) => {
    state = next
    for (const listener of listeners) listener(state)
  }

  const up = (run: Run, again: boolean) => {
    const { lastExit, downForGood } = state
    publish({
      running: true,
      pid: run.pid,
      hash: run.hash,
      ...(run.program !== undefined && { program: run.program }),
      startedAt: run.startedAt,
      restarts: state.restarts + (again ? 1 : 0),
      downForGood,
      ...(lastExit && { lastExit }),
    })
  }

  const down = (lastExit: NonNullable<SidecarState['lastExit']>, downForGood: boolean) => {
    log.warn('the sidecar stopped', { ...lastExit, downForGood })
    publish({ running: false, restarts: state.restarts, lastExit, downForGood })
  }

  const keep = async (
    mine: Keeper,
    options: EnsureOptions,
    onStart: (error?: unknown) => void,
  ): Promise<void> => {
    const { signal } = mine.abort
    const policy = createRestartPolicy(deps.random)
    const aborted = whenAborted(signal)
    let looked = false
    for (let starts = 0; !signal.aborted; starts += 1) {
      let delayMs = 0
      try {
        const { spec } = mine
        const adopted = looked ? undefined : await runs.adopt(spec, signal, options)
        looked = true
        const run = adopted ?? (await runs.start(spec, signal))
        mine.run = run
        mine.hash = run.hash
        up(run, starts > 0)
        onStart()
        const over = new AbortController()
        void mind(run, policy, AbortSignal.any([signal, over.signal]))
        const exit = await Promise.race([run.exited, aborted])
        over.abort()
        if (exit === undefined) return
        const decision = policy.ended(clock.now() - run.startedAt)
        delayMs = decision.delayMs
        down({ at: clock.now(), ...exit }, decision.downForGood)
        // pilot-agent may have died alone: its Envoy still holds the ports that the next one needs.
        await runs.end(run, 0, signal)
        mine.run = undefined
      } catch (error) {
        if (signal.aborted) return
        const decision = policy.ended(0)
        delayMs = decision.delayMs
        down({ at: clock.now(), code: null, signal: null, tail: [errorText(error)] }, decision.downForGood)
        onStart(error)
      }
      await clock.sleep(delayMs, signal).catch(() => {})
    }
  }

  /** While a run lasts: keeps its log small, and forgets the failures before it once it is stable. */
  const mind = async (run: Run, policy: RestartPolicy, signal: AbortSignal): Promise<void> => {
    for (;;) {
      await clock.sleep(mindMs, signal).catch(() => {})
      if (signal.aborted) return
      await deps
        .rotateLog?.()
        .catch((error) => log.warn('the log cannot be rotated', { error: errorText(error) }))
      if (policy.runs(clock.now() - run.startedAt) && state.downForGood) {
        publish({ ...state, downForGood: false })
      }
    }
  }

  const launch = (spec: SidecarSpec, options: EnsureOptions): Keeper => {
    const first = Promise.withResolvers<void>()
    first.promise.catch(() => {})
    const mine: Keeper = {
      spec,
      hash: spec.hash,
      abort: new AbortController(),
      started: first.promise,
      done: Promise.resolve(),
      run: undefined,
    }
    mine.done = keep(mine, options, (error) => (error === undefined ? first.resolve() : first.reject(error)))
    return mine
  }

  /** Ends the keeper and what it keeps. */
  const halt = async (graceMs: number, signal: AbortSignal): Promise<void> => {
    const old = keeper
    if (old === undefined) return
    old.abort.abort()
    await old.done
    if (old.run !== undefined) await runs.end(old.run, graceMs, signal)
    keeper = undefined
    const { restarts, lastExit } = state
    publish({ running: false, restarts, downForGood: false, ...(lastExit && { lastExit }) })
  }

  return {
    ensure: (spec, signal, options = {}) =>
      inTurn(async () => {
        signal.throwIfAborted()
        const isKept = options.keepOther === true && state.running
        if (keeper !== undefined && keeper.hash !== spec.hash && !isKept) await halt(replaceGraceMs, signal)
        keeper ??= launch(spec, options)
        keeper.spec = spec
        await Promise.race([keeper.started.catch(() => {}), whenAborted(signal)])
        signal.throwIfAborted()
        if (!state.running) throw notRunning(state)
      }),
    stop: (graceMs, signal) =>
      inTurn(async () => {
        await halt(graceMs, signal)
        // One that an earlier agent left running, when this one has not come to adopt it.
        await runs.endAll(sidecarUser.uid, graceMs, signal)
      }),
    state: () => state,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function notRunning({ lastExit }: SidecarState): MooringError {
  const ended = lastExit?.signal ?? (lastExit?.code === null ? undefined : `code ${lastExit?.code}`)
  const lines = [...(ended === undefined ? [] : [ended]), ...(lastExit?.tail ?? [])]
  return new MooringError('SIDECAR_EXITED', { detail: lines.join(' | ').slice(0, 1500) })
}

function whenAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
