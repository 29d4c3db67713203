import { parseArgs } from 'node:util'
import { MooringError } from '../../shared/errors.ts'
import type { Mode } from './selection.ts'

/** What the command line asked for. */
export interface Command {
  readonly mode: Mode
  readonly names: readonly string[]
  readonly json: string | undefined
  /** File to which every failure is added, for who runs several of these. */
  readonly failures: string | undefined
  readonly skipCore: boolean
  readonly withoutMesh: boolean
  readonly minutes: number
  readonly jobs: number
  readonly meshJobs: number
}

export const usage = `Usage: node test/run.ts test|e2e|e2e:boot|soak [NAME...] [options]

  NAME             only files whose path holds this
  --json FILE      write the result and the scenes as JSON
  --failures FILE  add every failure, in short, to FILE
  --skip-core      e2e: without the files that npm test runs
  --without-mesh   leave the real-mesh files out; they count as skipped
  --minutes N      soak: how long (default 10)
  --jobs N         light files at a time (default: the number of processors)
  --mesh-jobs N    real-mesh files at a time (default 1)
`

/** Reads the command line; throws `CONFIG_INVALID` with the usage in `detail`. */
export function parseCommand(argv: readonly string[], processors: number): Command {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        failures: { type: 'string' },
        'skip-core': { type: 'boolean', default: false },
        'without-mesh': { type: 'boolean', default: false },
        minutes: { type: 'string', default: '10' },
        jobs: { type: 'string', default: String(processors) },
        'mesh-jobs': { type: 'string', default: '1' },
      },
    })
    const [mode, ...names] = positionals
    if (mode !== 'test' && mode !== 'e2e' && mode !== 'e2e:boot' && mode !== 'soak')
      throw new TypeError('say test, e2e, e2e:boot or soak')
    return {
      mode,
      names,
      json: values.json,
      failures: values.failures,
      skipCore: values['skip-core'],
      withoutMesh: values['without-mesh'],
      minutes: positive('--minutes', values.minutes),
      jobs: positive('--jobs', values.jobs),
      meshJobs: positive('--mesh-jobs', values['mesh-jobs']),
    }
  } catch (cause) {
    const detail = `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`
    throw new MooringError('CONFIG_INVALID', { detail, cause })
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0)
    throw new TypeError(`${name} wants a number above 0, not ${text}`)
  return value
}
