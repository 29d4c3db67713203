import type { Bundle } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Effects } from '../effects.ts'
import type { InstalledVersion } from '../sidecar/artifact-manifest.ts'
import type { SidecarPaths } from '../sidecar/paths.ts'
import type { PortGuard } from '../sidecar/port-guard.ts'
import type { RestartWindow } from '../sidecar/restart-window.ts'
import { sidecarSpec } from '../sidecar/spec.ts'
import type { SidecarSpec, Supervisor } from '../sidecar/supervisor.ts'
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
  let ensured: { readonly hash: string; readonly version: string } | undefined

  async function wanted(bundle: Bundle): Promise<{ spec: SidecarSpec; version: string }> {
    const found = await installed()
    if (found === undefined) throw new MooringError('ARTIFACT_INVALID', { detail: 'none is installed' })
    return { spec: sidecarSpec(bundle, { version: found.folder, run: paths.run }), version: found.version }
  }

  return {
    name: 'sidecar',
    condition: 'SidecarRunning',
    retryWithinMs: 2_000,
    version: () => (supervisor.state().running ? ensured?.version : undefined),
    async check(bundle) {
      if (!supervisor.state().running || ensured === undefined) return false
      if (ensured.hash !== (await wanted(bundle)).spec.hash) return window?.isOpen() === false
      window?.over()
      return true
    },
    async apply(bundle, signal) {
      const { spec, version } = await wanted(bundle)
      await ports.mustBeFree(bundle)
      if (supervisor.state().running && ensured !== undefined) await window?.quiet(signal)
      await effects.run('sidecar-started', () => supervisor.ensure(spec, signal))
      ensured = { hash: spec.hash, version }
      window?.over()
    },
    note: () =>
      window?.pending ? { reason: 'RestartPending', message: 'another one waits for its turn' } : undefined,
    async undo(signal) {
      ensured = undefined
      window?.over()
      await effects.run('sidecar-stopped', () => supervisor.stop(graceMs, signal))
    },
  }
}
