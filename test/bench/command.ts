import { parseArgs } from 'node:util'
import { MooringError } from '../../shared/errors.ts'

/** What the command line asked for. */
export interface Command {
  /** Absent: list what there is. */
  readonly name: string | undefined
  readonly json: string | undefined
  /** How often each thing is measured. */
  readonly n: number
}

export const usage = `npm run bench -- NAME [options]

  --json FILE   write the figures as JSON
  --n N         how often each thing is measured  (10, and not less than that for the goals to count)
`

const defaultN = 10

/** Reads the command line; throws `CONFIG_INVALID` with the usage in `detail`. */
export function parseCommand(argv: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { json: { type: 'string' }, n: { type: 'string', default: String(defaultN) } },
    })
    const [name, ...more] = positionals
    if (more.length > 0) throw new TypeError(`one name, not also ${more.join(' ')}`)
    const n = Number(values.n)
    if (!Number.isInteger(n) || n < 1 || n > 1000)
      throw new TypeError(`--n wants a whole number from 1 to 1000, not ${values.n}`)
    return { name, json: values.json, n }
  } catch (cause) {
    const detail = `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}
