import { Value } from 'typebox/value'
import { Bundle } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import { type CaptureFacts, captureRules } from '../capture/rules.ts'
import { readBounded } from '../host/files.ts'
import { chooseArtifact, versionFolder } from '../sidecar/artifact-manifest.ts'
import { sidecarFileList } from '../sidecar/files.ts'
import { type SidecarPaths, sidecarFiles } from '../sidecar/paths.ts'
import { sidecarSpec } from '../sidecar/spec.ts'
import { peekState } from '../state.ts'

/** Largest file with a bundle. */
const maxBytes = 1024 * 1024

export interface RenderInput {
  readonly bundle: Bundle
  readonly arch: string
  readonly paths: SidecarPaths
  readonly facts: CaptureFacts
}

/** What the agent would write and run for a bundle; secrets are masked. */
export interface Rendering {
  readonly files: readonly { readonly path: string; readonly mode: string; readonly content: string }[]
  readonly sidecar: {
    readonly command: string
    readonly args: readonly string[]
    readonly env: Record<string, string>
  }
  /** The command that sets the traffic rules; undefined when nothing is captured. */
  readonly capture: { readonly command: string; readonly args: readonly string[] } | undefined
}

export function rendering({ bundle, arch, paths, facts }: RenderInput): Rendering {
  const version = versionFolder(paths.versions, chooseArtifact(bundle, arch))
  const { command, args, env } = sidecarSpec(bundle, { version, run: paths.run })
  const rules = captureRules(bundle, facts)
  return {
    files: sidecarFileList(bundle).map(({ path, mode, content, secret }) => ({
      path: `${paths.run}/${path}`,
      mode: `0${mode.toString(8)}`,
      content: secret ? '***' : content,
    })),
    sidecar: { command, args, env: { ...env } },
    capture: bundle.capture.enabled
      ? { command: `${paths.current}/${sidecarFiles.pilotAgent}`, args: rules.apply }
      : undefined,
  }
}

/** The rendering for people. */
export function renderingText({ files, sidecar, capture }: Rendering): string {
  const parts = files.map(({ path, mode, content }) => `# ${path} (${mode})\n${content.trimEnd()}\n`)
  const env = Object.entries(sidecar.env).map(([name, value]) => `  ${name}=${value}`)
  parts.push(['# sidecar', ...env, `  ${[sidecar.command, ...sidecar.args].join(' ')}`, ''].join('\n'))
  parts.push(
    capture === undefined
      ? '# traffic rules: none, the pool captures nothing\n'
      : `# traffic rules\n  ${[capture.command, ...capture.args].join(' ')}\n`,
  )
  return parts.join('\n')
}

/** The bundle of that file, or else of the state. Throws `CONFIG_INVALID` and `NOT_FOUND`. */
export async function bundleToRender(file: string | undefined, stateFile: string): Promise<Bundle> {
  if (file !== undefined) {
    const text = await readBounded(file, maxBytes)
    if (text === undefined) throw new MooringError('CONFIG_INVALID', { detail: `there is no file ${file}` })
    return readBundle(text, file)
  }
  const known = (await peekState(stateFile))?.bundle
  if (known !== undefined) return known
  const detail = 'this VM has no bundle yet: join first, or use --bundle FILE'
  throw new MooringError('NOT_FOUND', { detail })
}

/** A bundle from a file's text. Throws `CONFIG_INVALID`. */
export function readBundle(text: string, name: string): Bundle {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new MooringError('CONFIG_INVALID', { detail: `${name} is not JSON`, cause })
  }
  if (Value.Check(Bundle, value)) return value
  const [fault] = Value.Errors(Bundle, value)
  throw new MooringError('CONFIG_INVALID', { detail: `${name}: ${fault?.instancePath} ${fault?.message}` })
}
