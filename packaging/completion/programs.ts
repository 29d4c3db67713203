import { helpText } from '../../agent/cli.ts'
import { afterHelp, createProgram } from '../../cli/program.ts'
import { createSession } from '../../cli/session.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { usage } from '../../controller/cli.ts'
import { systemClock } from '../../shared/clock.ts'
import { fromCommander } from './commander.ts'
import type { ProgramCommand } from './program.ts'
import { fromUsage } from './usage.ts'

/** The three programs, as each one's own definition describes it. */
export function describePrograms(): Readonly<
  Record<'mooring' | 'mooring-agent' | 'mooring-controller', Described>
> {
  return {
    mooring: { program: fromCommander(operatorProgram()), after: afterHelp },
    'mooring-agent': { program: fromUsage(helpText), after: afterLists(helpText) },
    'mooring-controller': { program: fromUsage(usage), after: afterLists(usage) },
  }
}

export interface Described {
  readonly program: ProgramCommand
  /** What its help says after the lists. */
  readonly after: string
}

/** Never run: a session that reads nothing of this machine. */
function operatorProgram() {
  const { stdin, stdout, stderr } = process
  const session = createSession({
    terminal: createTerminal({ stdin, stdout, stderr, env: {} }),
    env: {},
    home: '/',
    clock: systemClock,
    random: Math.random,
    version: '',
    signal: new AbortController().signal,
  })
  return createProgram(session, '')
}

function afterLists(help: string): string {
  const lines = help.trimEnd().split('\n')
  const last = lines.findLastIndex((line) => line.startsWith('  '))
  return lines.slice(last + 1).join('\n')
}
