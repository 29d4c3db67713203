import type { Bundle } from '../../shared/api/bundle.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Effects } from '../effects.ts'
import type { Artifacts } from '../sidecar/artifact.ts'
import { chooseArtifact } from '../sidecar/artifact-manifest.ts'
import type { Step, StepNote } from './step.ts'

export interface InstallStepDeps {
  readonly artifacts: Artifacts
  /** One of Go's names. */
  readonly arch: string
  readonly clock: Clock
  readonly log: Log
  readonly effects: Effects
  readonly random?: () => number
}

/** An offer that could not be installed, while the version before it could be kept. */
interface Refused {
  readonly offer: string
  readonly retryAt: number
  readonly note: StepNote
}

/** Each try is a download of 50 MB by every VM of the mesh. */
const retry = { baseMs: 10_000, maxMs: 600_000, floorMs: 1_000 } as const

/**
 * Brings the sidecar's program to the VM, unless the image brought it. An offer that cannot be installed does
 * not keep a VM out of the mesh that has another version: that one goes on, and the condition says what is wrong.
 */
export function createInstallStep(deps: InstallStepDeps): Step {
  const { artifacts, arch, clock, log, effects } = deps
  const backoff = createBackoff({ ...retry, ...(deps.random && { random: deps.random }) })
  let refused: Refused | undefined

  async function bring(bundle: Bundle, signal: AbortSignal): Promise<void> {
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
  }

  const offerOf = ({ sidecar }: Bundle) => sidecar.artifacts.find((each) => each.arch === arch)

  return {
    name: 'install',
    condition: 'SidecarInstalled',
    async check(bundle) {
      const offer = offerOf(bundle)
      if (offer !== undefined && (await artifacts.inUse(offer))) {
        refused = undefined
        return true
      }
      if (refused?.offer !== keyOf(offer) || clock.now() >= refused.retryAt) return false
      return (await artifacts.inForce()) !== undefined
    },
    async apply(bundle, signal) {
      try {
        await bring(bundle, signal)
        refused = undefined
      } catch (error) {
        signal.throwIfAborted()
        const kept = await artifacts.inForce()
        if (kept === undefined || isMooringError(error, 'KEY_REVOKED')) throw error
        const offer = keyOf(offerOf(bundle))
        if (refused?.offer !== offer) backoff.reset()
        const retryMs = backoff.next()
        const { code, detail, title } = known(error)
        const message = `${detail ?? title}; version ${kept.version} goes on`
        refused = {
          offer,
          retryAt: clock.now() + retryMs,
          note: { status: 'False', reason: code, message },
        }
        log.warn('the offered sidecar cannot be installed: the one that is here goes on', {
          ...{ code, detail, version: kept.version, retryMs },
        })
      }
    },
    note: () => refused?.note,
  }
}

function keyOf(offer: { readonly sha256: string } | undefined): string {
  return offer?.sha256 ?? 'none'
}

function known(error: unknown): MooringError {
  if (isMooringError(error)) return error
  return new MooringError('INTERNAL', { detail: `install: ${errorText(error)}`, cause: error })
}
