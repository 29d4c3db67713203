import { parseArgs } from 'node:util'
import { MooringError } from '../shared/errors.ts'

/** A mesh without Kubernetes, or one of a cluster. */
export type MeshKind = (typeof meshKinds)[number]
const meshKinds = ['standalone', 'kubernetes'] as const

/** What the command line asked for. */
export interface Command {
  /** End after the last scene, instead of staying up. */
  readonly once: boolean
  readonly json: string | undefined
  /** Whose mesh it is: the controller's own, or that of a cluster. */
  readonly mesh: MeshKind
  readonly help: boolean
}

export const usage = `npm run demo [-- options]

  --mesh KIND   standalone: without Kubernetes; kubernetes: a cluster, and the controller in it by its chart
  --once        end after the last scene, instead of staying up to be tried
  --json FILE   write the figures as JSON
`

/** Reads the command line; throws `CONFIG_INVALID` with the usage in `detail`. */
export function parseCommand(argv: readonly string[]): Command {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        once: { type: 'boolean', default: false },
        json: { type: 'string' },
        mesh: { type: 'string', default: 'standalone' },
        help: { type: 'boolean', default: false },
      },
    })
    const mesh = meshKinds.find((kind) => kind === values.mesh)
    if (mesh === undefined) throw new MooringError('CONFIG_INVALID', { detail: `--mesh ${values.mesh}` })
    return { once: values.once, json: values.json, mesh, help: values.help }
  } catch (cause) {
    const detail = `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}
