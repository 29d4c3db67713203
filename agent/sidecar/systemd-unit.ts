import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Exec, ExecResult } from '../host/exec.ts'
import { programFolders } from '../host/programs.ts'
import { lastLines } from './log-file.ts'

/** The unit that the package installs for the sidecar. */
export const sidecarUnit = 'mooring-sidecar.service'

/** What systemd knows of a unit's main process. */
export interface UnitStatus {
  /** As `systemctl show --property=ActiveState` says it: active, activating, deactivating, inactive, failed. */
  readonly activeState: string
  /** 0 while it has none. */
  readonly mainPid: number
  /** The last main process, also after its end; 0 before the first. */
  readonly lastPid: number
  /** Milliseconds after boot at which that one started. */
  readonly startedAfterBootMs: number
  /** Names one run of the unit in the journal. */
  readonly invocation: string
}

/** How a run ended, as the journal tells it. */
export interface UnitExit {
  readonly code: number | null
  readonly signal: string | null
  readonly tail: readonly string[]
}

/** A unit of the system's systemd, by way of `systemctl` and `journalctl`. */
export interface SystemdUnit {
  status(signal?: AbortSignal): Promise<UnitStatus>
  /** Forgets failures before and starts it; resolves when the program runs. Throws `SIDECAR_EXITED`. */
  start(signal?: AbortSignal): Promise<void>
  /** SIGTERM to its main process, SIGKILL to all of it after `graceMs`. Resolves when nothing of it is left. */
  stop(graceMs: number, signal?: AbortSignal): Promise<void>
  /** How the run of this invocation ended. */
  exitOf(invocation: string, signal?: AbortSignal): Promise<UnitExit>
}

export interface SystemdUnitDeps {
  readonly name: string
  readonly exec: Exec
  readonly clock: Clock
}

const quickMs = 10_000
/** That the sidecar died must be known soon; why may stay unknown. */
const journalMs = 300
const startMs = 20_000
/** How long systemd has to begin with a stop before somebody else sends the signal. */
const beginMs = 500
/** After SIGKILL to everything. */
const killedMs = 15_000
const pollMs = 50
const journalLines = 40
const env = { PATH: programFolders.join(':'), LANG: 'C', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }
/** States of a unit of which nothing runs. */
const down: readonly string[] = ['inactive', 'failed']
const properties = [
  'ActiveState',
  'MainPID',
  'ExecMainPID',
  'ExecMainStartTimestampMonotonic',
  'InvocationID',
] as const

/** The unit called `name`. */
export function createSystemdUnit({ name, exec, clock }: SystemdUnitDeps): SystemdUnit {
  const systemctl = (args: readonly string[], timeoutMs: number, signal?: AbortSignal) =>
    exec('systemctl', ['--no-ask-password', ...args, name], { env, timeoutMs, ...(signal && { signal }) })

  /** Newest entries of one run: its own, and what systemd says of it. */
  const entries = async (invocation: string, signal?: AbortSignal): Promise<string> => {
    const options = { env, timeoutMs: journalMs, ...(signal && { signal }) }
    // What was written a moment ago may still be on its way.
    await exec('journalctl', ['--sync'], options)
    const wanted = [`_SYSTEMD_INVOCATION_ID=${invocation}`, '+', `INVOCATION_ID=${invocation}`]
    const show = ['--output=json', '--no-pager', '--quiet', '--boot', `--lines=${journalLines}`]
    return (await exec('journalctl', [...show, ...wanted], options)).stdout
  }

  const status = async (signal?: AbortSignal): Promise<UnitStatus> => {
    const result = await systemctl(['show', `--property=${properties.join(',')}`], quickMs, signal)
    if (result.code !== 0) throw refused('show', result)
    return parseStatus(result.stdout)
  }

  /** Whether the state became one of these before the time was over. */
  const becomes = async (states: readonly string[], withinMs: number, signal?: AbortSignal) => {
    const deadline = clock.now() + withinMs
    for (;;) {
      if (states.includes((await status(signal)).activeState)) return true
      if (clock.now() >= deadline) return false
      await clock.sleep(pollMs, signal)
    }
  }

  const kill = (args: readonly string[], signal?: AbortSignal) =>
    systemctl(['kill', ...args], quickMs, signal)

  return {
    status,
    async start(signal) {
      // A unit that used up its starts refuses the next one until its failures are forgotten.
      await systemctl(['reset-failed'], quickMs, signal)
      const result = await systemctl(['start'], startMs, signal)
      if (result.code !== 0) throw refused('start', result)
    },
    async stop(graceMs, signal) {
      const startedAt = clock.now()
      // Never waited for: at a shutdown the unit has a stop of its own, which comes after the one that we are part of.
      const result = await systemctl(['stop', '--no-block'], quickMs, signal)
      if (result.code !== 0) throw refused('stop', result)
      if (graceMs > 0 && !(await becomes([...down, 'deactivating'], beginMs, signal))) {
        await kill(['--kill-whom=main', '--signal=SIGTERM'], signal)
      }
      if (!(await becomes(down, graceMs - (clock.now() - startedAt), signal))) {
        await kill(['--signal=SIGKILL'], signal)
        if (!(await becomes(down, killedMs, signal))) {
          throw new MooringError('SIDECAR_EXITED', { detail: `${name} does not end` })
        }
      }
      await systemctl(['reset-failed'], quickMs, signal)
    },
    async exitOf(invocation, signal) {
      if (!/^[0-9a-f]{32}$/.test(invocation)) return { code: null, signal: null, tail: [] }
      return parseExit(await entries(invocation, signal))
    },
  }
}

/** Reads what `systemctl show` prints: one `Name=value` a line. */
export function parseStatus(text: string): UnitStatus {
  const values = new Map(
    text.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
  const number = (name: (typeof properties)[number]) => {
    const value = Number(values.get(name))
    return Number.isSafeInteger(value) && value > 0 ? value : 0
  }
  return {
    activeState: values.get('ActiveState') ?? 'inactive',
    mainPid: number('MainPID'),
    lastPid: number('ExecMainPID'),
    startedAfterBootMs: Math.round(number('ExecMainStartTimestampMonotonic') / 1000),
    invocation: values.get('InvocationID') ?? '',
  }
}

/** systemd's message that a process of a unit ended (SD_MESSAGE_UNIT_PROCESS_EXIT, sd-messages.h). */
const processExit = '98e322203f7a4ed290d09fe03c09fe15'

/** Reads journal entries, one JSON object a line: how the process ended, and its own last words. */
export function parseExit(text: string): UnitExit {
  let ended: Pick<UnitExit, 'code' | 'signal'> = { code: null, signal: null }
  const words: string[] = []
  for (const line of text.split('\n')) {
    const entry = parseEntry(line)
    if (entry === undefined) continue
    if (entry.MESSAGE_ID === processExit) ended = exitIn(entry)
    else if (entry._PID !== '1' && typeof entry.MESSAGE === 'string') words.push(entry.MESSAGE)
  }
  return { ...ended, tail: lastLines(words.join('\n')) }
}

function parseEntry(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function exitIn({ EXIT_CODE, EXIT_STATUS, MESSAGE }: Readonly<Record<string, unknown>>) {
  const status = Number(EXIT_STATUS)
  if (EXIT_CODE === 'exited' && Number.isInteger(status)) return { code: status, signal: null }
  // The number of a signal is told apart from its name only in the words: "status=9/KILL".
  const name = /status=\d+\/([A-Z0-9]+)/.exec(String(MESSAGE))?.[1]
  return { code: null, signal: name === undefined ? null : `SIG${name}` }
}

function refused(verb: string, { code, stderr, timedOut }: ExecResult): MooringError {
  const why = timedOut ? 'it took too long' : stderr.trim() || `exit code ${code}`
  return new MooringError('SIDECAR_EXITED', { detail: `systemctl ${verb}: ${why.slice(0, 500)}` })
}
