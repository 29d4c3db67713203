import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface CommandOptions {
  readonly cwd?: string
  /** Laid over this process' environment. */
  readonly env?: Readonly<Record<string, string>>
  /** After so long it is ended. @defaultValue ten minutes */
  readonly timeoutMs?: number
}

const maxOutput = 32 * 1024 * 1024

/** Runs a program without a shell; gives its standard output, and throws what it said when it fails. */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 600_000 }: CommandOptions = {},
): Promise<string> {
  const options = {
    maxBuffer: maxOutput,
    timeout: timeoutMs,
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  }
  try {
    const { stdout } = await promisify(execFile)(program, [...args], options)
    return stdout
  } catch (cause) {
    const { stdout = '', stderr = '', code } = cause as { stdout?: string; stderr?: string; code?: unknown }
    const said = `${stderr}${stdout}`.trim().split('\n').slice(-12).join('\n')
    throw new Error(`${program} ${args[0] ?? ''} failed (${String(code)})\n${said}`, { cause })
  }
}
