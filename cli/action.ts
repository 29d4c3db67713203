import type { Command } from 'commander'
import type { Session } from './session.ts'

/** Options that every command has. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly context?: string
}

/** Lets `run` carry out a command: with its arguments, and its own and the global options. */
export function action<Options>(
  command: Command,
  run: (args: readonly string[], options: Options & GlobalOptions) => Promise<void>,
): void {
  command.action(async (...given: unknown[]) => {
    const self = given.at(-1) as Command
    await run(self.args, self.optsWithGlobals<Options & GlobalOptions>())
  })
}

/** Prints a result: the interface's own shape for programs, lines for people. */
export function print(
  session: Session,
  options: GlobalOptions,
  value: unknown,
  lines: () => readonly string[],
): void {
  const text = options.json === true ? JSON.stringify(value, null, 2) : lines().join('\n')
  session.terminal.out(`${text}\n`)
}
