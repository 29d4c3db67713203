import type { Command } from 'commander'
import { Type } from 'typebox'
import { type TokenCreate, TokenCreated, TokenView } from '../../shared/api/operator.ts'
import { MooringError } from '../../shared/errors.ts'
import { action, print } from '../action.ts'
import { parseDuration, renderMoment } from '../duration.ts'
import { createPrivateFile } from '../private-file.ts'
import type { Session } from '../session.ts'
import { renderTable } from '../table.ts'

interface CreateOptions {
  readonly pool: string
  readonly uses?: string
  readonly ttl?: string
  readonly out?: string
}

/** `mooring token ...`. */
export function addTokenCommands(program: Command, session: Session): void {
  const token = program.command('token').description('join tokens: with one, a VM may join a pool')

  const create = token
    .command('create')
    .description('make a token; it is shown this once')
    .requiredOption('--pool <name>', 'the pool that it lets in')
    .option('--uses <number>', 'how many VMs may join with it')
    .option('--ttl <duration>', 'how long it is valid: 30m, 1h, 7d')
    .option('--out <file>', 'write it to a file (mode 0600) instead of standard output')
  action<CreateOptions>(create, async (_, options) => {
    const body = readCreate(options)
    const client = await session.client(options.context)
    const file = options.out === undefined ? undefined : await createPrivateFile(options.out)
    let created: TokenCreated
    try {
      created = await client.call('POST', '/v1/tokens', TokenCreated, { body })
    } catch (error) {
      await file?.discard()
      throw error
    }
    await file?.finish(`${created.token}\n`)
    const { token: value, ...rest } = created
    const about = `token ${created.id} for pool ${created.pool}: ${created.uses} use${created.uses === 1 ? '' : 's'}, expires ${renderMoment(created.expiresAt, session.clock.now())}`
    if (options.json === true) return print(session, options, file === undefined ? created : rest, () => [])
    session.terminal.err(`${about}${options.out === undefined ? '' : `, in ${options.out}`}\n`)
    if (file === undefined) session.terminal.out(`${value}\n`)
  })

  const list = token
    .command('list')
    .description('join tokens: valid, used up or expired in the last day')
    .option('--pool <name>', 'of one pool')
  action<{ pool?: string }>(list, async (_, options) => {
    const client = await session.client(options.context)
    const tokens = await client.call('GET', '/v1/tokens', Type.Array(TokenView), {
      query: { pool: options.pool },
    })
    const listed = tokens.map((one) => ({ ...one, state: tokenState(one, session.clock.now()) }))
    print(session, options, listed, () =>
      renderTable(
        {
          head: ['ID', 'POOL', 'STATE', 'USED', 'EXPIRES', 'BY'],
          rows: listed.map((one) => [
            one.id,
            one.pool,
            one.state,
            `${one.used} of ${one.uses}`,
            renderMoment(one.expiresAt, session.clock.now()),
            one.createdBy,
          ]),
          empty: 'No tokens.',
        },
        session.paint,
      ),
    )
  })

  const remove = token.command('delete').description('take a token back').argument('<id>')
  action(remove, async ([id = ''], options) => {
    const client = await session.client(options.context)
    await client.send('DELETE', `/v1/tokens/${encodeURIComponent(id)}`)
    print(session, options, { id, deleted: true }, () => [`token ${id} deleted`])
  })
}

/** Whether another VM may join by it; one that is used up still knows those that did. */
function tokenState({ used, uses, expiresAt }: TokenView, now: number): 'valid' | 'used' | 'expired' {
  if (expiresAt <= now) return 'expired'
  return used >= uses ? 'used' : 'valid'
}

function readCreate(options: CreateOptions): TokenCreate {
  const uses = options.uses === undefined ? undefined : Number(options.uses)
  if (uses !== undefined && (!Number.isInteger(uses) || uses < 1)) {
    throw new MooringError('CONFIG_INVALID', { detail: `--uses: "${options.uses}" is no number of VMs` })
  }
  return {
    pool: options.pool,
    ...(uses === undefined ? {} : { uses }),
    ...(options.ttl === undefined ? {} : { ttlSeconds: Math.round(parseDuration(options.ttl, '--ttl')) }),
  }
}
