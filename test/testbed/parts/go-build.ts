import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CommandResult, runCommand } from '../command.ts'
import { fullPath } from '../on-path.ts'
import { TestbedError } from '../testbed-error.ts'

export interface GoRun {
  /** Path of `go`. */
  readonly go: string
  /** Folder of the module that it runs in. */
  readonly dir: string
  readonly args: readonly string[]
  /** Beside what every run gets. */
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  readonly onLine?: (line: string) => void
}

const buildLimitMs = 60 * 60_000

/** Runs `go` so that nothing but the module's own files decides what comes out. */
export async function runGo(run: GoRun): Promise<CommandResult> {
  const env = {
    ...process.env,
    PATH: `${dirname(run.go)}:${fullPath(process.env.PATH)}`,
    CGO_ENABLED: '0',
    // What a person set for other projects must not change this build, nor fetch another Go.
    GOTOOLCHAIN: 'local',
    GOFLAGS: '',
    GOWORK: 'off',
    GOOS: '',
    GOARCH: '',
    ...run.env,
  }
  // A build takes every core for minutes: whoever works at the machine goes first.
  const result = await runCommand('nice', ['-n', '10', run.go, ...run.args], {
    cwd: run.dir,
    env,
    timeoutMs: buildLimitMs,
    ...(run.signal === undefined ? {} : { signal: run.signal }),
    ...(run.onLine === undefined ? {} : { onLine: run.onLine }),
  })
  if (result.code === 0) return result
  const said = result.stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('go: downloading'))
    .slice(-10)
  throw new TestbedError('BUILD_FAILED', `go ${run.args[0]} ended with ${result.code}\n${said.join('\n')}`)
}

/** The files that pin a module's requirements. */
export interface GoModule {
  readonly goMod: string
  readonly goSum: string
}

/** Reads go.mod and go.sum of a folder. */
export async function readGoModule(dir: string): Promise<GoModule> {
  const read = (file: string) => readFile(join(dir, file), 'utf8')
  const [goMod, goSum] = await Promise.all([read('go.mod'), read('go.sum')])
  return { goMod, goSum }
}

/** The oldest Go that can build a module, as its module file says. */
export function goWanted(goMod: string): string {
  return /^go (\S+)$/m.exec(goMod)?.[1] ?? '1.26.0'
}
