import type { Command } from 'commander'
import {
  type OperatorCreated,
  OperatorCreated as OperatorCreatedSchema,
  OperatorView,
} from '../../shared/api/operator.ts'
import { operatorPaths } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { action, print } from '../action.ts'
import { writeContext } from '../config-file.ts'
import { renderMoment } from '../duration.ts'
import type { Session } from '../session.ts'
import { parseServer, parseToken, readTokenFile, trustFrom } from '../settings.ts'

interface LoginOptions {
  readonly server: string
  readonly ca?: string
  readonly pin?: string
  readonly enrol?: string
  readonly name?: string
  readonly tokenFile?: string
}

/** `mooring login` and `mooring whoami`. */
export function addLoginCommands(program: Command, session: Session): void {
  const login = program
    .command('login')
    .description('remember a controller, how to recognise it, and who you are there')
    .requiredOption('--server <url>', "the controller's address, https://HOST[:PORT]")
    .option('--ca <file>', "the controller's authority, PEM")
    .option('--pin <sha256:hex>', 'the pin of its key, instead of a CA file')
    .option(
      '--enrol <code>',
      'become the first administrator with the one-time code; - reads it from standard input',
    )
    .option('--name <name>', 'with --enrol: the name to have')
    .option('--token-file <file>', 'an operator token; - reads it from standard input')
  action<LoginOptions>(login, async (_, options) => {
    const server = parseServer(options.server)
    const trust = await trustFrom(options.ca, options.pin)
    if (trust === undefined) {
      throw new MooringError('CONFIG_INVALID', {
        detail:
          'say how to recognise the controller: --ca FILE or --pin sha256:...; it prints both at its start',
      })
    }
    const credential = await readCredential(session, options)
    const bare = await session.connect(server, trust)
    const token =
      'code' in credential ? new Secret((await enrol(bare.client, credential)).token) : credential.token
    const { client, ca } = await session.connect(server, { ca: bare.ca }, token)
    const me = await client.call('GET', '/v1/whoami', OperatorView)
    await writeContext(session.configFile, options.context ?? 'default', {
      server: server.origin,
      ca,
      ...(options.pin === undefined ? {} : { pin: options.pin }),
      operator: me.name,
      token: token.reveal(),
      expiresAt: me.expiresAt,
    })
    print(session, options, me, () => [`Logged in to ${server.origin} as ${describe(me, session)}.`])
  })

  const whoami = program.command('whoami').description('who the controller takes you for')
  action(whoami, async (_, options) => {
    const client = await session.client(options.context)
    const me = await client.call('GET', '/v1/whoami', OperatorView)
    print(session, options, me, () => [describe(me, session)])
  })
}

type Credential = { readonly code: string; readonly name: string } | { readonly token: Secret }

async function readCredential(session: Session, options: LoginOptions): Promise<Credential> {
  if ((options.enrol === undefined) === (options.tokenFile === undefined)) {
    throw new MooringError('CONFIG_INVALID', {
      detail: 'say either --enrol CODE --name NAME or --token-file FILE',
    })
  }
  if (options.enrol !== undefined) {
    if (options.name === undefined)
      throw new MooringError('CONFIG_INVALID', { detail: '--enrol needs --name NAME' })
    const code = options.enrol === '-' ? (await session.terminal.readAll()).trim() : options.enrol
    return { code, name: options.name }
  }
  const file = options.tokenFile ?? ''
  const fromInput = async () => parseToken(await session.terminal.readAll(), 'standard input')
  return { token: file === '-' ? await fromInput() : await readTokenFile(file) }
}

async function enrol(
  client: Awaited<ReturnType<Session['connect']>>['client'],
  body: { readonly code: string; readonly name: string },
): Promise<OperatorCreated> {
  return await client.call('POST', operatorPaths.enrol, OperatorCreatedSchema, { body })
}

function describe(me: OperatorView, session: Session): string {
  const pools = me.pools.includes('*') ? 'all pools' : `pools ${me.pools.join(', ')}`
  return `${me.name} (${me.role} of ${pools}), expires ${renderMoment(me.expiresAt, session.clock.now())}`
}
