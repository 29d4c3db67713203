import { parseArgs } from 'node:util'
import { errorText, MooringError } from '../shared/errors.ts'
import { type LogLevel, logLevels } from '../shared/log.ts'

/** Everything that `mooring-agent` can be told to do. */
export const commandNames = [
  'run',
  'join',
  'status',
  'drain',
  'leave',
  'doctor',
  'render',
  'version',
  'help',
  'facts',
] as const
export type CommandName = (typeof commandNames)[number]

/** Why a VM leaves, as far as those on it can say. */
export const leaveReasons = ['operator', 'shutdown'] as const

/** A command line that was understood. */
export interface Invocation {
  readonly command: CommandName
  readonly config: string | undefined
  readonly root: string
  readonly logLevel: LogLevel | undefined
  readonly json: boolean
  /** Why, for `leave`. */
  readonly reason: (typeof leaveReasons)[number]
  /** File with a bundle, for `render`. */
  readonly bundle: string | undefined
}

/** Exit codes; `help` lists them. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notRunning: 3, alreadyRunning: 4 } as const

export const helpText = `mooring-agent: brings this virtual machine into the mesh, and out of it again

Usage: mooring-agent COMMAND [options]

  run              join, keep this VM in the mesh, leave when told to end (SIGTERM)
  join             join only: print the VM's id and exit; tells an agent that left to come back
  status           what the running agent knows
  drain            take no new requests, finish the open ones, stay drained
  leave            drain, stop the sidecar and be gone from the mesh; the agent stays.
                   Where no agent runs, the command does it by itself
  doctor           look for what is wrong on this machine, and say how to mend it
  render           show the files and rules that the agent would write; secrets are masked
  version          print the version

Options:
  --config FILE      configuration (default: /etc/mooring/agent.yaml below the root)
  --root DIR         folder that stands for / in every path (default: /)
  --log-level LEVEL  ${logLevels.join(', ')}
  --json             for status, doctor and render
  --reason REASON    for leave: operator (default), or shutdown; people see it
  --bundle FILE      for render: a bundle other than the one in the state

Exit codes: 0 done, 1 something is wrong, 2 wrong usage or configuration, 3 no agent runs,
4 another agent runs.
`

/** Understands the arguments after the program's name. Throws `CONFIG_INVALID`. */
export function parseCommandLine(args: readonly string[]): Invocation {
  const { values, positionals } = parsed(args)
  const [command = values.version ? 'version' : 'help', ...rest] = positionals
  if (!isCommandName(command)) throw usage(`there is no command ${command}`)
  if (rest.length > 0) throw usage(`${command} takes no argument ${rest[0]}`)
  const { 'log-level': level } = values
  if (level !== undefined && !isLogLevel(level)) throw usage(`--log-level is one of ${logLevels.join(', ')}`)
  const reason = leaveReasons.find((one) => one === (values.reason ?? 'operator'))
  if (reason === undefined) throw usage(`--reason is one of ${leaveReasons.join(', ')}`)
  return {
    command: values.help ? 'help' : command,
    config: values.config,
    root: values.root ?? '/',
    logLevel: level,
    json: values.json ?? false,
    reason,
    bundle: values.bundle,
  }
}

/** The exit code that stands for an error. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MooringError)) return exitCodes.failed
  if (['CONFIG_INVALID', 'NOT_CONFIGURED'].includes(error.code)) return exitCodes.usage
  if (error.code === 'NOT_RUNNING') return exitCodes.notRunning
  if (error.code === 'ALREADY_RUNNING') return exitCodes.alreadyRunning
  return exitCodes.failed
}

/** An error for a person: code, cause and fix. */
export function describeError(error: unknown): string {
  if (!(error instanceof MooringError)) return `mooring-agent: ${errorText(error)}\n`
  const detail = error.detail === undefined ? '' : `\n  cause: ${error.detail}`
  return `mooring-agent: ${error.title} (${error.code})${detail}\n  fix:   ${error.fix}\n`
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        root: { type: 'string' },
        'log-level': { type: 'string' },
        json: { type: 'boolean' },
        bundle: { type: 'string' },
        reason: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw usage(errorText(error))
  }
}

function usage(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `${detail}; see mooring-agent help` })
}

function isCommandName(text: string): text is CommandName {
  return (commandNames as readonly string[]).includes(text)
}

function isLogLevel(text: string): text is LogLevel {
  return (logLevels as readonly string[]).includes(text)
}
