import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { TestbedError } from './testbed-error.ts'

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
  /** After so long the command is ended. @defaultValue 30000 */
  readonly timeoutMs?: number
  /** Written to its standard input, which is closed otherwise. */
  readonly input?: string
  /** Called with each line it writes to standard error, while it runs. */
  readonly onLine?: (line: string) => void
}

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  /** Exit code; for a process ended by a signal 128 + its number is what shells say, here it is -1. */
  readonly code: number
}

// Enough for every listing the testbed reads; a command that says more than this is not one it runs.
const maxOutput = 8 * 1024 * 1024
const killAfterMs = 3_000

/** Runs a command to its end and returns what it said, whatever its exit code. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  options.signal?.throwIfAborted()
  const spawnOptions: SpawnOptions = {
    // A group of its own: `go build` and pip start children, which must end with them.
    detached: true,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  }
  const child = spawn(command, [...args], spawnOptions)
  return finished(child, `${command} ${args.join(' ')}`, options)
}

/** Like `runCommand`, but any exit code other than 0 is an error that carries what was said. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(command, args, options)
  if (result.code === 0) return result
  const said = `${result.stderr}${result.stdout}`.trim().split('\n').slice(-12).join('\n')
  throw new TestbedError('COMMAND_FAILED', `${command} ${args.join(' ')} ended with ${result.code}\n${said}`)
}

/** Waits for a child whose output is piped, within the limits of `options`; ends its whole group beyond them. */
export function finished(child: ChildProcess, what: string, options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const { signal, timeoutMs = 30_000 } = options
    let stdout = ''
    let stderr = ''
    let ended: unknown
    let killTimer: NodeJS.Timeout | undefined

    const end = (reason: unknown) => {
      if (ended !== undefined) return
      ended = reason ?? new TestbedError('COMMAND_FAILED', `${what} was aborted`)
      killGroup(child, 'SIGTERM')
      killTimer = setTimeout(() => killGroup(child, 'SIGKILL'), killAfterMs)
    }
    const onAbort = () => end(signal?.reason)
    const limit = setTimeout(
      () => end(new TestbedError('COMMAND_TIMED_OUT', `${what} after ${timeoutMs} ms`)),
      timeoutMs,
    )
    const settle = () => {
      clearTimeout(limit)
      clearTimeout(killTimer)
      signal?.removeEventListener('abort', onAbort)
    }

    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      if (stdout.length < maxOutput) stdout += chunk
    })
    let partial = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      if (stderr.length < maxOutput) stderr += chunk
      if (options.onLine === undefined) return
      const lines = (partial + chunk).split('\n')
      partial = lines.pop() ?? ''
      for (const line of lines) options.onLine(line)
    })
    child.once('error', (cause) => {
      settle()
      reject(new TestbedError('COMMAND_FAILED', `${what} could not be started: ${cause.message}`, cause))
    })
    child.once('close', (code) => {
      settle()
      if (ended !== undefined) reject(ended)
      else resolve({ stdout, stderr, code: code ?? -1 })
    })
    if (child.stdin !== null && options.input !== undefined) {
      // A command that does not read its input is no failure of ours.
      child.stdin.on('error', () => {})
      child.stdin.end(options.input)
    }
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Not a group leader, or gone between the check and the call.
    child.kill(signal)
  }
}
