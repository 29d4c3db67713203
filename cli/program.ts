import { Command, CommanderError } from 'commander'
import { wireVersion } from '../shared/api/wire.ts'
import { action, print } from './action.ts'
import { addArtifactCommands } from './commands/artifact.ts'
import { addAuditCommand } from './commands/audit.ts'
import { addInjectCommand } from './commands/inject.ts'
import { addLoginCommands } from './commands/login.ts'
import { addOperatorCommands } from './commands/operator.ts'
import { addPoolCommands } from './commands/pool.ts'
import { addTokenCommands } from './commands/token.ts'
import { addVmCommands } from './commands/vm.ts'
import { addVmWatchCommand } from './commands/vm-watch.ts'
import { exitCodeOf, exitCodes, failureJson, renderFailure } from './failure.ts'
import { createSession, type Session, type SessionDeps } from './session.ts'

/** Shown after the help of the program itself. */
export const afterHelp = `
Environment, over what \`mooring login\` stored:
  MOORING_URL, MOORING_CA_FILE or MOORING_PIN, MOORING_TOKEN_FILE,
  MOORING_CLIENT_CERTIFICATE and MOORING_CLIENT_PASSWORD_FILE

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not allowed, 4 the controller cannot be reached or trusted.
`

/** The command line with all its commands; nothing runs before it is given arguments. */
export function createProgram(session: Session, version: string): Command {
  const { terminal } = session
  const program = new Command('mooring')
    .description('Virtual machines in an Istio mesh: pools, join tokens, VMs, and who did what.')
    .option('--json', "print the interface's own JSON")
    .option('--context <name>', 'which login to use, where there are several')
    .option('--client-certificate <file>', 'show this PKCS#12 file instead of a token')
    .option('--client-password-file <file>', 'with its password in the first line; else it is asked for')
    .addHelpText('after', afterHelp)
    .showHelpAfterError('(`mooring --help` shows what there is)')
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .exitOverride()
  program.hook('preAction', () => {
    const { env } = session
    const given = program.opts<{ clientCertificate?: string; clientPasswordFile?: string }>()
    const file = given.clientCertificate ?? env.MOORING_CLIENT_CERTIFICATE
    if (file === undefined) return
    session.useCertificate(file, given.clientPasswordFile ?? env.MOORING_CLIENT_PASSWORD_FILE)
  })
  addLoginCommands(program, session)
  addPoolCommands(program, session)
  addTokenCommands(program, session)
  const vm = program.command('vm').description('the VMs')
  addVmCommands(vm, session)
  addVmWatchCommand(vm, session)
  addInjectCommand(program, session)
  addOperatorCommands(program, session)
  addAuditCommand(program, session)
  addArtifactCommands(program, session)
  action(program.command('version').description('version of this program'), async (_, options) => {
    print(session, options, { version, wire: wireVersion }, () => [version])
  })
  return program
}

/** Runs one command line (without program and script name); gives the exit status, and never throws. */
export async function runCli(argv: readonly string[], deps: SessionDeps): Promise<number> {
  const session = createSession(deps)
  const { terminal, paint } = session
  const program = createProgram(session, deps.version)

  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    if (deps.signal.aborted) return exitCodes.interrupted
    if (argv.includes('--json')) terminal.err(`${JSON.stringify(failureJson(error))}\n`)
    else terminal.err(renderFailure(error, paint))
    return exitCodeOf(error)
  } finally {
    session.close()
  }
}
