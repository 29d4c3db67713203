import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { runCommand } from '../testbed/command.ts'

const program = join(resolve(import.meta.dirname, '../..'), 'cli/main.ts')

/** What one command said, and how it ended. */
export interface Said {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The operators' command line as a person has it: a process for each command, and a home folder. */
export interface Mooring {
  /** Runs one command; `input` is its standard input. */
  run(argv: readonly string[], options?: MooringOptions): Promise<Said>
  /** Runs one that has to succeed, with `--json`; gives what it printed. */
  json<T>(...argv: readonly string[]): Promise<T>
  /** Starts one that goes on; `lines` grows. `end` interrupts it and gives its exit code. */
  follow(...argv: readonly string[]): {
    readonly lines: readonly string[]
    end(): Promise<number | null>
  }
}

export interface MooringOptions {
  readonly input?: string
  /** @defaultValue 30000 */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
}

/** A command line with its own home folder. */
export function createMooring(home: string): Mooring {
  const environment = { PATH: process.env.PATH ?? '', HOME: home, LANG: 'C.UTF-8' }

  async function run(argv: readonly string[], options: MooringOptions = {}): Promise<Said> {
    const { code, stdout, stderr } = await runCommand(process.execPath, [program, ...argv], {
      env: { ...environment, ...options.env },
      input: options.input ?? '',
      ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
    })
    return { code, out: stdout, err: stderr }
  }

  return {
    run,
    async json<T>(...argv: readonly string[]) {
      const { code, out, err } = await run([...argv, '--json'])
      if (code !== 0) throw new Error(`mooring ${argv.join(' ')} ended with ${code}: ${err}`)
      return JSON.parse(out) as T
    },
    follow(...argv) {
      const child = spawn(process.execPath, [program, ...argv], {
        env: environment,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const lines: string[] = []
      createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
      const ended = new Promise<number | null>((done) => child.once('close', done))
      return {
        lines,
        end() {
          child.kill('SIGINT')
          return ended
        },
      }
    },
  }
}
