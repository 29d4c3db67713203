import { MooringError } from '../../shared/errors.ts'
import type { Effects } from '../effects.ts'
import type { Artifacts } from '../sidecar/artifact.ts'
import { chooseArtifact } from '../sidecar/artifact-manifest.ts'
import type { Step } from './step.ts'

export interface InstallStepDeps {
  readonly artifacts: Artifacts
  /** One of Go's names. */
  readonly arch: string
  readonly effects: Effects
}

/** Brings the sidecar's program to the VM, unless the image brought it. */
export function createInstallStep({ artifacts, arch, effects }: InstallStepDeps): Step {
  return {
    name: 'install',
    condition: 'SidecarInstalled',
    async check(bundle) {
      return artifacts.inUse(chooseArtifact(bundle, arch))
    },
    async apply(bundle, signal) {
      const artifact = chooseArtifact(bundle, arch)
      if (!(await artifacts.installed(artifact))) {
        const archive = await effects.run('artifact-downloaded', () => artifacts.download(artifact, signal))
        await effects.run('artifact-installed', () => artifacts.unpack(artifact, archive, signal))
      }
      await artifacts.use(artifact)
      if (!(await artifacts.inUse(artifact))) {
        throw new MooringError('ARTIFACT_INVALID', {
          detail: `${artifact.version} changed after it was unpacked`,
        })
      }
    },
  }
}
