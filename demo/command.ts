import { parseArgs } from 'node:util'
import { MooringError } from '../shared/errors.ts'

/** What the command line asked for. */
export interface Command {
  /** End after the last scene, instead of staying up. */
  readonly once: boolean
  readonly json: string | undefined
  readonly help: boolean
}

export const usage = `npm run demo [-- options]

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
        help: { type: 'boolean', default: false },
      },
    })
    return { once: values.once, json: values.json, help: values.help }
  } catch (cause) {
    const detail = `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}
