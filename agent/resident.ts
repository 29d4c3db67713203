import { wireVersion } from '../shared/api/wire.ts'
import type { Clock } from '../shared/clock.ts'
import type { ErrorCode } from '../shared/error-catalogue.ts'
import { errorText } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { CaptureFacts } from './capture/rules.ts'
import { openSocket } from './client/socket.ts'
import { createStream, type Stream } from './client/stream.ts'
import { createRunningAgent, type RunningAgent } from './commands/run.ts'
import type { StatusView } from './commands/status.ts'
import type { AgentConfig } from './config.ts'
import { type Converge, createConverge, type Task } from './converge.ts'
import type { Effects } from './effects.ts'
import { hasProgram } from './host/programs.ts'
import type { SignOfLife } from './host/sign-of-life.ts'
import { createLife, type Life } from './life.ts'
import type { Link } from './link.ts'
import { createMachine } from './machine.ts'
import { conditionsOf, stageOf } from './plan.ts'
import { createRenewals } from './renewals.ts'
import { createFarewell } from './shutdown/farewell.ts'
import { createLeave } from './shutdown/leave.ts'
import type { StopSignals } from './shutdown/signals.ts'
import type { ProcessTable } from './sidecar/process-table.ts'
import type { SupervisorKind } from './sidecar/supervisor-choice.ts'
import type { State, StateStore } from './state.ts'
import { createStatusBoard, type StatusBoard } from './status.ts'
import { statusLine } from './status-line.ts'
import { createJoinTask, hasJoined } from './steps/join.ts'
import { createPreflightTask } from './steps/preflight.ts'

export interface ResidentDeps {
  readonly config: AgentConfig
  readonly folders: { readonly state: string; readonly log: string }
  readonly store: StateStore
  readonly link: Link
  readonly processes: ProcessTable
  readonly host: { readonly uid: number; readonly platform: string; readonly arch: string }
  readonly bootId: string
  readonly agentVersion: string
  readonly captureFacts: () => Promise<CaptureFacts>
  /** Facts about the machine, gathered outside of this process. */
  readonly machineFacts: (signal: AbortSignal) => Promise<Record<string, string>>
  readonly signals: Pick<StopSignals, 'stop' | 'hurry'>
  /** What runs the sidecar. */
  readonly supervisor: SupervisorKind
  /** Hears of the progress of the work. */
  readonly sign: Pick<SignOfLife, 'mark' | 'during'>
  /** Takes one line for people: what this VM is about. */
  readonly tell: (status: string) => void
  /** Aborts when everything that watches is to end. */
  readonly over: AbortSignal
  readonly clock: Clock
  readonly effects: Effects
  readonly log: Log
}

/** Longest time to take everything back. */
const undoMs = 45_000
/** Gathering facts costs a second of processor time, which a VM that boots needs for itself. */
const factsAfterMs = 10_000
/** Nothing on this machine helps against these. */
const hopeless: ReadonlySet<ErrorCode> = new Set(['KEY_REVOKED'])

/** The agent that stays: composed of its parts, for one life in the mesh after the other. */
export function createResident(deps: ResidentDeps): RunningAgent {
  const { config, store, link, host, clock, effects, log, signals } = deps
  const bundle = () => store.current()?.bundle
  const machine = createMachine({
    folders: deps.folders,
    supervisorKind: deps.supervisor,
    arch: host.arch,
    bundle,
    fetchArtifact: link.controller.artifact,
    captureFacts: deps.captureFacts,
    processes: deps.processes,
    clock,
    effects,
    log,
    signal: deps.over,
  })
  const { supervisor, monitor, watchdog } = machine
  const board = createStatusBoard({ clock, facts: statusFacts })
  let current: { readonly connected: boolean; readonly trouble: string | undefined } | undefined
  let areFactsTold = false

  const showHealth = () => {
    const finding = monitor.report()
    board.setHealth(finding.health)
    for (const { type, status, reason, message } of conditionsOf(finding)) {
      board.set(type, status, reason, message)
    }
    showStage()
  }

  const showStage = () => {
    if (!['joining', 'converging', 'serving'].includes(board.stage)) return
    board.setStage(stageOf({ joined: link.identity() !== undefined, health: board.health }))
  }

  function life(): Life {
    if (board.conditions().some(({ type }) => type === 'Drained'))
      board.set('Drained', 'False', 'NotDraining')
    const joined = Promise.withResolvers<void>()
    const known = store.current()
    // The stream does not wait for the first steps: who is to leave at once has to say so.
    if (known !== undefined && hasJoined(known, config.pool, link.time.now())) joined.resolve()
    const tasks: readonly Task[] = [
      createPreflightTask({
        ...host,
        hasProgram,
        captureWanted: () => bundle()?.capture.enabled,
        skewMs: link.time.skewMs,
      }),
      createJoinTask({
        joiner: link.joiner,
        state: store.current,
        pool: config.pool,
        time: link.time,
        joined() {
          showStage()
          joined.resolve()
        },
      }),
      ...machine.tasks,
    ]
    const working = createConverge({
      tasks,
      board,
      clock,
      log,
      converged() {
        deps.sign.mark()
        const inForce = bundle()
        if (inForce === undefined) return
        monitor.converged(inForce)
        showHealth()
      },
      broken({ name }, { code }) {
        deps.sign.mark()
        // The sidecar was stopped for it, or was not started.
        if (code === 'PORT_IN_USE') watchdog.prevented()
        if (name === 'sidecar' || name === 'ready') monitor.broken('envoy')
        if (name === 'capture') monitor.broken('capture')
      },
      fatal: ({ code }) => hopeless.has(code),
    })
    const converge: Converge = { ...working, run: (until) => deps.sign.during(working.run(until)) }
    const renewals = createRenewals({
      ...{ store, clock, effects, log, joiner: link.joiner, controller: link.controller, time: link.time },
      renewed() {
        board.touch()
        converge.wake()
      },
    })
    const stream = openStream(board.report, async (signal) => {
      await link.joiner.join(signal)
      converge.wake()
    })
    const takeBack = async () => {
      // Each failure is in the log, and leaving goes on: the machine may be about to be switched off.
      await converge.undo(AbortSignal.timeout(undoMs)).catch(() => {})
      // Else the next life would count as captured as soon as its Envoy is ready.
      monitor.broken('envoy')
      monitor.broken('capture')
    }
    const leave = createLeave({
      ...{ stream, board, clock, log, drain: machine.drain, hurry: signals.hurry },
      joined: () => link.identity() !== undefined && store.current()?.left === undefined,
      serving: () => supervisor.state().running,
      settings: () => bundle()?.drain,
      async undo(reason, untold) {
        await takeBack()
        const isUntold = untold || store.current()?.left?.untold === true
        await mark({ left: { at: clock.now(), reason, ...(isUntold && { untold: true }) } })
      },
      told: () => settle('told'),
    })
    const stopWatching = [
      supervisor.onChange(() => converge.wake()),
      stream.onMessage(machine.window.take),
      stream.onMessage((message) => {
        if (message.kind === 'welcome') link.welcomed(message.session)
      }),
      machine.window.onChange(() => {
        board.touch()
        converge.wake()
      }),
      watchdog.onChange((opened) => {
        if (opened) monitor.broken('capture')
        converge.wake()
      }),
    ]
    const lived = createLife({
      ...{ converge, renewals, stream, leave, board, clock, log, time: link.time },
      joined: joined.promise,
      async revoke() {
        await takeBack()
        await mark({ revoked: { at: clock.now() } })
      },
      expelled: () => mark({ left: { at: clock.now(), reason: 'expelled' } }),
      welcomed: () => tellFacts(stream),
    })
    return {
      wish: lived.wish,
      async run(stop) {
        try {
          return await lived.run(stop)
        } finally {
          for (const stopOne of stopWatching) stopOne()
        }
      },
    }
  }

  function openStream(status: StatusBoard['report'], renew: (signal: AbortSignal) => Promise<void>): Stream {
    const stream = createStream({
      url: config.controller.url,
      trust: link.trust,
      open: openSocket,
      identity: link.identity,
      hello: () => ({
        kind: 'hello',
        wire: wireVersion,
        agentVersion: deps.agentVersion,
        bootId: deps.bootId,
        status: status(),
      }),
      ...{ renew, clock, log },
    })
    current = stream
    return stream
  }

  const farewell = createFarewell({
    // Whatever is left of its last judgement: who left serves nobody.
    openStream: (unknown) =>
      openStream(
        () => ({ ...board.report(), health: 'unhealthy' }),
        async () => unknown(),
      ),
    ...{ clock, log },
  })

  async function settle(end: 'told' | 'revoked'): Promise<void> {
    const { at = clock.now(), reason = '' } = store.current()?.left ?? {}
    const isRevoked = end === 'revoked'
    await mark(
      { left: { at, reason }, ...(isRevoked && { revoked: { at: clock.now() } }) },
      'farewell-stored',
    )
  }

  async function mark(
    change: Pick<State, 'left' | 'revoked'>,
    effect: 'departure-stored' | 'farewell-stored' = 'departure-stored',
  ): Promise<void> {
    const state = store.current()
    if (state === undefined) return
    await effects
      .run(effect, () => store.write({ ...state, ...change }))
      .catch((error) => log.error('the state cannot be written', { error: errorText(error) }))
  }

  function tellFacts(stream: Stream): void {
    if (areFactsTold) return
    areFactsTold = true
    clock
      .sleep(factsAfterMs, deps.over)
      .then(() => deps.machineFacts(deps.over))
      .then((facts) => {
        areFactsTold = stream.send({ kind: 'facts', facts })
      })
      .catch((error) => {
        if (!deps.over.aborted) log.warn('no facts about this machine', { error: errorText(error) })
      })
  }

  function statusFacts() {
    const version = machine.sidecarVersion()
    return {
      bundleRevision: bundle()?.revision ?? '',
      sidecarRestarts: supervisor.state().restarts,
      ...(version !== undefined && { sidecarVersion: version }),
      ...(machine.window.pending && { restartPending: true }),
    }
  }

  function view(): StatusView {
    const state = store.current()
    const sidecar = supervisor.state()
    const version = machine.sidecarVersion()
    return {
      version: deps.agentVersion,
      stage: board.stage,
      health: board.health,
      controller: config.controller.url.origin,
      connected: current?.connected ?? false,
      ...(current?.trouble !== undefined && { trouble: current.trouble }),
      pool: config.pool,
      ...(state?.identity && { vm: state.identity.vm, certificateUntil: state.identity.certificateUntil }),
      ...(state?.bundle && { tokenUntil: state.bundle.token.expiresAt }),
      bundleRevision: state?.bundle?.revision ?? '',
      sidecar: {
        running: sidecar.running,
        ...(version !== undefined && { version }),
        ...(sidecar.pid !== undefined && { pid: sidecar.pid }),
        restarts: sidecar.restarts,
      },
      conditions: board.conditions().map((condition) => ({ ...condition })),
    }
  }

  monitor.onChange(showHealth)
  board.onChange(() => deps.tell(statusLine(board)))
  watchdog.start(() => bundle()?.capture.whenSidecarDown ?? 'open', deps.over)
  return createRunningAgent({
    ...{ createLife: life, farewell, settle, store, board, view, clock, log },
    stop: signals.stop,
  })
}
