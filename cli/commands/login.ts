import path from 'node:path'
import type { Command } from 'commander'
import { type OperatorCreated, OperatorCreated as OperatorCreatedSchema } from '../../shared/api/operator.ts'
import { WhoAmI } from '../../shared/api/who-am-i.ts'
import { operatorPaths } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { action, print } from '../action.ts'
import type { Client } from '../client.ts'
import { writeContext } from '../config-file.ts'
import { renderMoment } from '../duration.ts'
import { readKubeconfigToken } from '../kubeconfig.ts'
import type { Session } from '../session.ts'
import { parseServer, parseToken, readTokenFile, trustFrom } from '../settings.ts'

interface LoginOptions {
  readonly server: string
  readonly ca?: string
  readonly pin?: string
  readonly enrol?: string
  readonly name?: string
  readonly tokenFile?: string
  readonly tokenPath?: string
  readonly kubeconfig?: string
  readonly kubeContext?: string
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
    .option(
      '--token-file <file>',
      'a token: of an operator, of your OpenID Connect issuer, or of the cluster; - reads it from standard input',
    )
    .option(
      '--token-path <file>',
      "the same, but the path is remembered: for tokens that somebody renews, as a pod's service account",
    )
    .option('--kubeconfig <file>', 'the token of a kubeconfig; it must be for this controller')
    .option('--kube-context <name>', 'with --kubeconfig: another context than its current one')
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
    const token = await tokenOf(credential, bare.client)
    const { client, ca } = await session.connect(server, { ca: bare.ca }, token)
    const me = await client.call('GET', '/v1/whoami', WhoAmI)
    await writeContext(session.configFile, options.context ?? 'default', {
      server: server.origin,
      ca,
      ...(options.pin === undefined ? {} : { pin: options.pin }),
      operator: me.name,
      ...('path' in credential ? { tokenPath: credential.path } : { token: token.reveal() }),
      ...(me.expiresAt !== undefined && { expiresAt: me.expiresAt }),
    })
    print(session, options, me, () => [`Logged in to ${server.origin} as ${describe(me, session)}.`])
  })

  const whoami = program.command('whoami').description('who the controller takes you for')
  action(whoami, async (_, options) => {
    const client = await session.client(options.context)
    const me = await client.call('GET', '/v1/whoami', WhoAmI)
    print(session, options, me, () => [describe(me, session)])
  })
}

type Credential =
  | { readonly code: string; readonly name: string }
  | { readonly token: Secret }
  /** Absolute. */
  | { readonly path: string }

async function readCredential(session: Session, options: LoginOptions): Promise<Credential> {
  const { enrol, tokenFile, tokenPath, kubeconfig } = options
  if ([enrol, tokenFile, tokenPath, kubeconfig].filter((given) => given !== undefined).length !== 1) {
    throw new MooringError('CONFIG_INVALID', {
      detail:
        'say one of --enrol CODE --name NAME, --token-file FILE, --token-path FILE and --kubeconfig FILE',
    })
  }
  if (kubeconfig !== undefined) return readKubeconfigToken(kubeconfig, options.kubeContext)
  if (tokenPath !== undefined) return { path: path.resolve(tokenPath) }
  if (enrol !== undefined) {
    if (options.name === undefined)
      throw new MooringError('CONFIG_INVALID', { detail: '--enrol needs --name NAME' })
    const code = enrol === '-' ? (await session.terminal.readAll()).trim() : enrol
    return { code, name: options.name }
  }
  const file = tokenFile ?? ''
  const fromInput = async () => parseToken(await session.terminal.readAll(), 'standard input')
  return { token: file === '-' ? await fromInput() : await readTokenFile(file) }
}

async function tokenOf(credential: Credential, client: Client): Promise<Secret> {
  if ('token' in credential) return credential.token
  if ('path' in credential) return readTokenFile(credential.path)
  return new Secret((await enrol(client, credential)).token)
}

async function enrol(
  client: Client,
  body: { readonly code: string; readonly name: string },
): Promise<OperatorCreated> {
  return await client.call('POST', operatorPaths.enrol, OperatorCreatedSchema, { body })
}

function describe({ name, role, pools, expiresAt }: WhoAmI, session: Session): string {
  const where = pools === undefined || pools.includes('*') ? 'all pools' : `pools ${pools.join(', ')}`
  const may = role === undefined ? 'as the cluster allows' : `${role} of ${where}`
  const end = expiresAt === undefined ? '' : `, expires ${renderMoment(expiresAt, session.clock.now())}`
  return `${name} (${may})${end}`
}
