import type { Bundle } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Effects } from '../effects.ts'
import { type InstalledVersion, versionOfProgram } from '../sidecar/artifact-manifest.ts'
import type { SidecarPaths } from '../sidecar/paths.ts'
import type { PortGuard } from '../sidecar/port-guard.ts'
import type { RestartWindow } from '../sidecar/restart-window.ts'
import { sidecarSpec } from '../sidecar/spec.ts'
import type { EnsureOptions, SidecarSpec, Supervisor } from '../sidecar/supervisor.ts'
import type { Step } from './step.ts'

export interface SidecarStepDeps {
  readonly supervisor: Supervisor
  readonly paths: Pick<SidecarPaths, 'run'>
  /** The version that is to run; undefined while none can. */
  readonly installed: () => Promise<InstalledVersion | undefined>
  readonly ports: PortGuard
  readonly effects: Effects
  /** Absent: a sidecar that runs is stopped as soon as another one is wanted. */
  readonly window?: Pick<RestartWindow, 'isOpen' | 'pending' | 'quiet' | 'over'>
}

/** The step, which also knows what it started. */
export interface SidecarStep extends Step {
  /** Version of the sidecar that runs; undefined while none does. */
  version(): string | undefined
}

/** How long pilot-agent has to end; it was drained before, so it ends at once. */
const graceMs = 5000

/** Runs the sidecar. A crash is the supervisor's affair; this step starts it, and restarts it for a new bundle. */
export function createSidecarStep(deps: SidecarStepDeps): SidecarStep {
  const { supervisor, paths, installed, ports, effects, window } = deps

  async function wanted(bundle: Bundle): Promise<SidecarSpec> {
    const found = await installed()
    if (found === undefined) throw new MooringError('ARTIFACT_INVALID', { detail: 'none is installed' })
    return sidecarSpec(bundle, { version: found.folder, run: paths.run })
  }

  const ensure = (spec: SidecarSpec, signal: AbortSignal, options: EnsureOptions) =>
    effects.run('sidecar-started', () => supervisor.ensure(spec, signal, options))

  return {
    name: 'sidecar',
    condition: 'SidecarRunning',
    retryWithinMs: 2_000,
    version() {
      const { running, program } = supervisor.state()
      return running && program !== undefined ? versionOfProgram(program) : undefined
    },
    async check(bundle) {
      const { running, hash } = supervisor.state()
      if (!running) return false
      if (hash !== (await wanted(bundle)).hash) return window?.isOpen() === false
      window?.over()
      return true
    },
    async apply(bundle, signal) {
      const spec = await wanted(bundle)
      await ports.mustBeFree(bundle)
      // An agent that has just started finds the sidecar of the one before it, and that one too has to wait for its turn.
      if (!supervisor.state().running) await ensure(spec, signal, { keepOther: window !== undefined })
      if (supervisor.state().hash !== spec.hash) {
        if (window?.isOpen() === false) return
        await window?.quiet(signal)
        await ensure(spec, signal, {})
      }
      window?.over()
    },
    note: () =>
      window?.pending ? { reason: 'RestartPending', message: 'another one waits for its turn' } : undefined,
    async undo(signal) {
      window?.over()
      await effects.run('sidecar-stopped', () => supervisor.stop(graceMs, signal))
    },
  }
}
