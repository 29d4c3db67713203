import { parseArgs } from 'node:util'
import { MooringError } from '../../shared/errors.ts'
import type { Sizes } from './bench.ts'

/** What the command line asked for. */
export interface Command {
  /** Absent: list what there is. */
  readonly name: string | undefined
  readonly json: string | undefined
  /** How often each thing is measured. */
  readonly n: number
  readonly sizes: Sizes
  readonly profile: string | undefined
}

export const usage = `npm run bench -- NAME [options]

  --json FILE   write the figures as JSON
  --n N         how often each thing is measured  (10, and not less than that for the goals to count)

  --vms N           simulated VMs of \`fleet\`
  --joins N         joins of \`joins\`
  --seconds N       how long \`fleet\` is watched
  --profile FOLDER  take a processor profile of the controller of \`joins\` or \`fleet\`; figures are worse with it
`

const defaultN = 10
const mostVms = 50_000
const mostSeconds = 86_400

/** Reads the command line; throws `CONFIG_INVALID` with the usage in `detail`. */
export function parseCommand(argv: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        n: { type: 'string', default: String(defaultN) },
        vms: { type: 'string' },
        joins: { type: 'string' },
        seconds: { type: 'string' },
        profile: { type: 'string' },
      },
    })
    const [name, ...more] = positionals
    if (more.length > 0) throw new TypeError(`one name, not also ${more.join(' ')}`)
    const vms = whole('vms', values.vms, mostVms)
    const joins = whole('joins', values.joins, mostVms)
    const seconds = whole('seconds', values.seconds, mostSeconds)
    return {
      name,
      json: values.json,
      n: whole('n', values.n, 1_000) ?? defaultN,
      sizes: { ...(vms && { vms }), ...(joins && { joins }), ...(seconds && { seconds }) },
      profile: values.profile,
    }
  } catch (cause) {
    const detail = `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}

function whole(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new TypeError(`--${name} wants a whole number from 1 to ${most}, not ${text}`)
  return value
}
