import { join } from 'node:path'
import type { Bundle } from '../shared/api/bundle.ts'
import type { Clock } from '../shared/clock.ts'
import { MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { createAppliedFile } from './capture/applied.ts'
import { createIptables } from './capture/iptables.ts'
import { createRedirect } from './capture/redirect.ts'
import type { CaptureFacts } from './capture/rules.ts'
import { type CaptureWatchdog, createCaptureWatchdog } from './capture/watchdog.ts'
import type { Task } from './converge.ts'
import type { Effects } from './effects.ts'
import { createApplicationWatch } from './health/application.ts'
import { createHealthMonitor, type HealthMonitor } from './health/monitor.ts'
import { createProbe } from './health/probes.ts'
import { createDeliveryAddress } from './host/addresses.ts'
import { exec } from './host/exec.ts'
import { uptimeMs } from './host/facts.ts'
import { createDrain, type Drain } from './shutdown/drain.ts'
import { createArtifacts } from './sidecar/artifact.ts'
import type { FetchArtifact } from './sidecar/artifact-download.ts'
import { createEnvoy } from './sidecar/envoy.ts'
import { createLogFile } from './sidecar/log-file.ts'
import { sidecarFiles, sidecarPaths, sidecarUser } from './sidecar/paths.ts'
import { createPidFile } from './sidecar/pid-file.ts'
import { createPortGuard } from './sidecar/port-guard.ts'
import { createProcessSupervisor } from './sidecar/process.ts'
import { createProcessGroups } from './sidecar/process-group.ts'
import type { ProcessTable } from './sidecar/process-table.ts'
import { createRestartWindow, type RestartWindow } from './sidecar/restart-window.ts'
import { createRunFolder } from './sidecar/run-folder.ts'
import type { Supervisor } from './sidecar/supervisor.ts'
import type { SupervisorKind } from './sidecar/supervisor-choice.ts'
import { createSystemdSupervisor } from './sidecar/systemd.ts'
import { createSystemdUnit, sidecarUnit } from './sidecar/systemd-unit.ts'
import { createCaptureStep } from './steps/capture.ts'
import { createFilesStep } from './steps/files.ts'
import { createInstallStep } from './steps/install.ts'
import { createReadyStep } from './steps/ready.ts'
import { createSidecarStep } from './steps/sidecar.ts'
import type { Step } from './steps/step.ts'

/** This machine's side of the mesh: the sidecar, the traffic rules and their watchers. */
export interface Machine {
  /** The steps that follow a join, in order. */
  readonly tasks: readonly Task[]
  readonly supervisor: Supervisor
  /** Version of the sidecar that runs; undefined while none does. */
  readonly sidecarVersion: () => string | undefined
  readonly watchdog: CaptureWatchdog
  readonly monitor: HealthMonitor
  readonly drain: Drain
  readonly window: RestartWindow
}

export interface MachineDeps {
  readonly folders: { readonly state: string; readonly log: string }
  readonly supervisorKind: SupervisorKind
  /** By Go's name. */
  readonly arch: string
  readonly bundle: () => Bundle | undefined
  readonly fetchArtifact: FetchArtifact
  readonly captureFacts: () => Promise<CaptureFacts>
  readonly processes: ProcessTable
  readonly clock: Clock
  readonly effects: Effects
  readonly log: Log
  /** Ends every watcher. */
  readonly signal: AbortSignal
}

/** How long a sidecar that did not get its ports has to end. */
const stopMs = 2_000

export function createMachine(deps: MachineDeps): Machine {
  const { arch, clock, effects, log, processes, signal } = deps
  const paths = sidecarPaths(deps.folders)
  const logFile = createLogFile({ path: paths.log })
  const pidFile = createPidFile(paths.pidFile)
  const groups = createProcessGroups({ clock, log, processes, pidFile, logFile, versions: paths.versions })
  const supervisor =
    deps.supervisorKind === 'process'
      ? createProcessSupervisor({ clock, log, groups, logFile })
      : createSystemdSupervisor({
          unit: createSystemdUnit({ name: sidecarUnit, exec, clock }),
          endOthers: groups.endAll,
          uptimeMs,
          ...{ clock, log, processes, paths: paths.unit },
        })
  const envoy = createEnvoy()
  const redirect = createRedirect({
    iptables: createIptables({ exec }),
    appliedFile: createAppliedFile(paths.captureFile),
  })
  const pilotAgent = join(paths.current, sidecarFiles.pilotAgent)
  const watchdog = createCaptureWatchdog({
    supervisor,
    clock,
    log,
    undo: (until) => redirect.undo(pilotAgent, until),
  })
  const application = createApplicationWatch({
    probe: createProbe({ host: createDeliveryAddress(clock) }),
    clock,
  })
  const artifacts = createArtifacts({ paths, log, fetchArtifact: deps.fetchArtifact })
  const runFolder = createRunFolder({ path: paths.run, state: deps.folders.state, user: sidecarUser })
  const ports = createPortGuard('/proc', paths.versions)
  const drain = createDrain({ envoy, clock, log, effects })
  const window = createRestartWindow({ drain, log })
  const sidecar = createSidecarStep({
    supervisor,
    paths,
    installed: artifacts.inForce,
    ports,
    effects,
    window,
  })
  const capture = createCaptureStep({ redirect, watchdog, facts: deps.captureFacts, paths, clock, effects })
  const steps: readonly Step[] = [
    createInstallStep({ artifacts, arch, clock, log, effects }),
    createFilesStep({ runFolder, effects }),
    sidecar,
    createReadyStep({
      ...{ envoy, ports, clock, meanwhile: capture.prepare },
      stop: (until) => supervisor.stop(stopMs, until),
    }),
    // Last: what is captured must have somewhere to go.
    capture,
  ]
  return {
    tasks: steps.map((step) => withBundle(step, deps.bundle)),
    supervisor,
    sidecarVersion: sidecar.version,
    watchdog,
    monitor: createHealthMonitor({ supervisor, envoy, application, clock, signal }),
    drain,
    window,
  }
}

/** A step for the bundle that is in force at the moment it is looked at. */
export function withBundle(step: Step, bundle: () => Bundle | undefined): Task {
  const current = (): Bundle => {
    const found = bundle()
    if (found === undefined) throw new MooringError('INTERNAL', { detail: `${step.name} has no bundle` })
    return found
  }
  const { undo, undoneAfter, note, retryWithinMs } = step
  return {
    name: step.name,
    condition: step.condition,
    ...(note && { note: () => note() }),
    ...(retryWithinMs !== undefined && { retryWithinMs }),
    check: async (signal) => step.check(current(), signal),
    apply: async (signal) => step.apply(current(), signal),
    ...(undo && { undo: (signal) => undo(signal) }),
    ...(undoneAfter !== undefined && { undoneAfter }),
  }
}
