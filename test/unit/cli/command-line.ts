import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Test } from 'tap'
import { runCli } from '../../../cli/program.ts'
import type { Terminal } from '../../../cli/terminal.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { StandIn } from './stand-in.ts'

export interface CommandLineOptions {
  readonly clock?: Clock
  readonly env?: Readonly<Record<string, string>>
  /** What standard input holds. */
  readonly input?: string
  /** What a person answers; nobody is there when absent. */
  readonly answer?: boolean
  readonly tty?: boolean
  /** The password that a person types; nobody is there when absent. */
  readonly secret?: string
}

export interface CommandLine {
  /** Runs a command; gives its exit status and what it wrote. */
  run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }>
  readonly home: string
  /** As Ctrl-C does. */
  interrupt(): void
  /** What was written so far by the command that runs. */
  written(): string
}

/** The whole command line in this process, with a home folder and a terminal of its own. */
export function createCommandLine(t: Test, options: CommandLineOptions = {}): CommandLine {
  const home = path.join(t.testdirName, 'home')
  let interrupt = new AbortController()
  let out = ''
  let err = ''
  const terminal: Terminal = {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    tty: options.tty ?? false,
    colour: false,
    columns: () => 100,
    rows: () => 20,
    readAll: async () => options.input ?? '',
    secret: async (question) => {
      err += question
      if (options.secret !== undefined) return options.secret
      throw new MooringError('CONFIG_INVALID', { detail: 'nobody can be asked here; give a password file' })
    },
    confirm: async (question) => {
      err += question
      if (options.answer !== undefined) return options.answer
      throw new MooringError('CONFIG_INVALID', { detail: 'nobody can be asked here; say --yes' })
    },
  }
  return {
    home,
    interrupt: () => interrupt.abort(new Error('SIGINT')),
    written: () => out,
    async run(...argv) {
      out = ''
      err = ''
      interrupt = new AbortController()
      const code = await runCli(argv, {
        terminal,
        env: options.env ?? {},
        home,
        clock: options.clock ?? systemClock,
        random: () => 0,
        version: '1.2.3',
        signal: interrupt.signal,
      })
      return { code, out, err }
    },
  }
}

/** The environment that reaches a stand-in with a token. */
export async function environmentOf(t: Test, standIn: StandIn): Promise<Readonly<Record<string, string>>> {
  const file = path.join(t.testdirName, 'operator-token')
  await writeFile(file, 'operator-token-1\n', { mode: 0o600 })
  return { MOORING_URL: standIn.url, MOORING_CA_FILE: standIn.caFile, MOORING_TOKEN_FILE: file }
}
