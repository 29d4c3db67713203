import type { Bundle } from '../../shared/api/bundle.ts'
import type { Effects } from '../effects.ts'
import { chooseArtifact, versionFolder } from '../sidecar/artifact-manifest.ts'
import type { SidecarPaths } from '../sidecar/paths.ts'
import { sidecarSpec } from '../sidecar/spec.ts'
import type { SidecarSpec, Supervisor } from '../sidecar/supervisor.ts'
import type { Step } from './step.ts'

export interface SidecarStepDeps {
  readonly supervisor: Supervisor
  readonly paths: Pick<SidecarPaths, 'versions' | 'run'>
  /** One of Go's names. */
  readonly arch: string
  readonly effects: Effects
}

/** How long pilot-agent has to end; it was drained before, so it ends at once. */
const graceMs = 5000

/** Runs the sidecar. A crash is the supervisor's affair; this step starts it, and restarts it for a new bundle. */
export function createSidecarStep({ supervisor, paths, arch, effects }: SidecarStepDeps): Step {
  const specOf = (bundle: Bundle): SidecarSpec =>
    sidecarSpec(bundle, {
      version: versionFolder(paths.versions, chooseArtifact(bundle, arch)),
      run: paths.run,
    })
  let ensured: string | undefined
  return {
    name: 'sidecar',
    condition: 'SidecarRunning',
    async check(bundle) {
      return supervisor.state().running && ensured === specOf(bundle).hash
    },
    async apply(bundle, signal) {
      const spec = specOf(bundle)
      await effects.run('sidecar-started', () => supervisor.ensure(spec, signal))
      ensured = spec.hash
    },
    async undo(signal) {
      ensured = undefined
      await effects.run('sidecar-stopped', () => supervisor.stop(graceMs, signal))
    },
  }
}
