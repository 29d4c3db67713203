/**
 * The sidecar's side of the agent, composed as the agent does it, inside a VM's network namespace. Reads JSON
 * lines `{id, op, ...}` and answers `{id, result}` or `{id, error}`; tells of changes by `{event, at, ...}`.
 *
 * Usage: node driver.ts STATE_FOLDER ARCHIVE
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createAppliedFile } from '../../../agent/capture/applied.ts'
import { createIptables } from '../../../agent/capture/iptables.ts'
import { createRedirect } from '../../../agent/capture/redirect.ts'
import { createCaptureWatchdog } from '../../../agent/capture/watchdog.ts'
import { createEffects } from '../../../agent/effects.ts'
import { createApplicationWatch } from '../../../agent/health/application.ts'
import { createHealthMonitor } from '../../../agent/health/monitor.ts'
import { createProbe } from '../../../agent/health/probes.ts'
import { exec } from '../../../agent/host/exec.ts'
import { createDrain } from '../../../agent/shutdown/drain.ts'
import { createArtifacts } from '../../../agent/sidecar/artifact.ts'
import { createEnvoy } from '../../../agent/sidecar/envoy.ts'
import { createLogFile } from '../../../agent/sidecar/log-file.ts'
import { sidecarPaths, sidecarUser } from '../../../agent/sidecar/paths.ts'
import { createPidFile } from '../../../agent/sidecar/pid-file.ts'
import { createPortGuard } from '../../../agent/sidecar/port-guard.ts'
import { createProcessSupervisor } from '../../../agent/sidecar/process.ts'
import { createProcessGroups } from '../../../agent/sidecar/process-group.ts'
import { createProcessTable } from '../../../agent/sidecar/process-table.ts'
import { createRunFolder } from '../../../agent/sidecar/run-folder.ts'
import { createCaptureStep } from '../../../agent/steps/capture.ts'
import { createFilesStep } from '../../../agent/steps/files.ts'
import { createInstallStep } from '../../../agent/steps/install.ts'
import { createReadyStep } from '../../../agent/steps/ready.ts'
import { createSidecarStep } from '../../../agent/steps/sidecar.ts'
import type { Step } from '../../../agent/steps/step.ts'
import type { Bundle } from '../../../shared/api/bundle.ts'
import { systemClock as clock } from '../../../shared/clock.ts'
import { errorText, isMooringError } from '../../../shared/errors.ts'
import { createLog } from '../../../shared/log.ts'

const [state = '', archive = '', arch = ''] = process.argv.slice(2)
const log = createLog({ level: 'debug' })
const { signal } = new AbortController()
const effects = createEffects({ after: (name) => tell({ event: 'effect', name }) })
const paths = sidecarPaths({ state, log: `${state}/log` })
const logFile = createLogFile({ path: paths.log })
const processes = createProcessTable('/proc')
const pidFile = createPidFile(paths.pidFile)
const groups = createProcessGroups({ clock, log, processes, pidFile, logFile, versions: paths.versions })
const supervisor = createProcessSupervisor({ clock, log, groups, logFile })
const envoy = createEnvoy()
const artifacts = createArtifacts({
  paths,
  log,
  fetchArtifact: (_sha256, { from }) => createReadStream(archive, { start: from }),
})
const redirect = createRedirect({
  iptables: createIptables({ exec }),
  appliedFile: createAppliedFile(paths.captureFile),
})
const watchdog = createCaptureWatchdog({
  supervisor,
  clock,
  log,
  undo: (signal) => redirect.undo(`${paths.current}/bin/pilot-agent`, signal),
})
const application = createApplicationWatch({ probe: createProbe(), clock })
const monitor = createHealthMonitor({ supervisor, envoy, application, clock, signal })
const drain = createDrain({ envoy, clock, log, effects })
let bundle: Bundle | undefined

const ports = createPortGuard('/proc')
const steps: readonly Step[] = [
  createInstallStep({ artifacts, arch, clock, log, effects }),
  createFilesStep({ runFolder: createRunFolder({ path: paths.run, state, user: sidecarUser }), effects }),
  createSidecarStep({ supervisor, paths, installed: artifacts.inForce, ports, effects }),
  createReadyStep({ envoy, ports, clock, stop: (until) => supervisor.stop(0, until) }),
  createCaptureStep({
    redirect,
    watchdog,
    paths,
    clock,
    effects,
    verifyEveryMs: 0,
    facts: async () => ({ controllerAddresses: ['10.77.0.1'], nameservers: ['10.77.0.1'], ipv6: true }),
  }),
]

supervisor.onChange((next) => tell({ event: 'sidecar', ...next }))
monitor.onChange((next) => tell({ event: 'health', ...next }))
watchdog.onChange((opened) => tell({ event: 'watchdog', opened }))
watchdog.start(() => bundle?.capture.whenSidecarDown ?? 'closed', signal)

const operations: Record<string, (input: never) => Promise<unknown>> = {
  /** Converges once; the result names the steps that were applied, with their milliseconds. */
  async converge({ bundle: next }: { bundle: Bundle }) {
    bundle = next
    const applied: Record<string, number> = {}
    for (const step of steps) {
      const start = performance.now()
      if (await step.check(next, signal)) continue
      await step.apply(next, signal)
      applied[step.name] = Math.round(performance.now() - start)
    }
    monitor.converged(next)
    return applied
  },
  async checks() {
    const results: Record<string, boolean> = {}
    for (const step of steps) results[step.name] = await step.check(bundle as Bundle, signal)
    return results
  },
  async undo() {
    for (const step of steps.toReversed()) await step.undo?.(signal)
  },
  state: async () => supervisor.state(),
  health: async () => monitor.report(),
  inbound: () => envoy.inbound(signal),
  readiness: () => envoy.readiness(signal),
  drain: (input: { quietMs: number; deadlineMs: number }) =>
    drain.run({ ...input, signal, onProgress: (progress) => tell({ event: 'drain', ...progress }) }),
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, op, ...input } = JSON.parse(line)
  try {
    tell({ id, result: (await operations[op]?.(input as never)) ?? null })
  } catch (error) {
    tell({ id, error: { code: isMooringError(error) ? error.code : 'OTHER', text: errorText(error) } })
  }
})

function tell(message: object): void {
  process.stdout.write(`${JSON.stringify({ at: Date.now(), ...message })}\n`)
}
