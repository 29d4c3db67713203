import { runCli } from '../../../cli/program.ts'
import { createTerminal } from '../../../cli/terminal.ts'
import { systemClock } from '../../../shared/clock.ts'

/** What a command line came to. */
export interface CommandEnd {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs `mooring` in this process, as a user whose home is `home`. */
export async function runMooring(
  argv: readonly string[],
  { home, env = {} }: { readonly home: string; readonly env?: Readonly<Record<string, string>> },
): Promise<CommandEnd> {
  let [out, err] = ['', '']
  const { stdin, stdout, stderr } = process
  const terminal = {
    ...createTerminal({ stdin, stdout, stderr, env: {} }),
    out: (text: string) => {
      out += text
    },
    err: (text: string) => {
      err += text
    },
  }
  const deps = { terminal, env, home, clock: systemClock, random: Math.random, version: '0' }
  const code = await runCli(argv, { ...deps, signal: new AbortController().signal })
  return { code, out, err }
}
