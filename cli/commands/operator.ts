import { type Command, Option } from 'commander'
import { Type } from 'typebox'
import {
  OperatorCertificate,
  OperatorCreated,
  OperatorView,
  type Role,
  roles,
} from '../../shared/api/operator.ts'
import { action, print } from '../action.ts'
import { readPassword } from '../client-certificate.ts'
import { parseDuration, renderMoment } from '../duration.ts'
import { createPrivateFile } from '../private-file.ts'
import type { Session } from '../session.ts'
import { renderTable } from '../table.ts'

interface CertificateOptions {
  readonly out: string
  readonly passwordFile?: string
  readonly ttl?: string
}

interface CreateOptions {
  readonly role: Role
  readonly pools?: string
  readonly ttl?: string
  readonly out?: string
}

/** `mooring operator ...`. */
export function addOperatorCommands(program: Command, session: Session): void {
  const operator = program.command('operator').description('who may use this interface, and for what')

  const create = operator
    .command('create')
    .description('make an operator; the token is shown this once')
    .argument('<name>')
    .addOption(new Option('--role <role>', 'what the operator may do').choices(roles).makeOptionMandatory())
    .option('--pools <names>', 'pools, with commas between them; all when absent')
    .option('--ttl <duration>', 'how long the token is valid: 8h, 30d')
    .option('--out <file>', 'write the token to a file (mode 0600) instead of standard output')
  action<CreateOptions>(create, async ([name = ''], options) => {
    const body = {
      name,
      role: options.role,
      ...(options.pools === undefined ? {} : { pools: options.pools.split(',').map((pool) => pool.trim()) }),
      ...(options.ttl === undefined ? {} : { ttlSeconds: Math.round(parseDuration(options.ttl, '--ttl')) }),
    }
    const client = await session.client(options.context)
    const file = options.out === undefined ? undefined : await createPrivateFile(options.out)
    let created: OperatorCreated
    try {
      created = await client.call('POST', '/v1/operators', OperatorCreated, { body })
    } catch (error) {
      await file?.discard()
      throw error
    }
    await file?.finish(`${created.token}\n`)
    const { token, ...rest } = created
    if (options.json === true) return print(session, options, file === undefined ? created : rest, () => [])
    const expires = renderMoment(created.expiresAt, session.clock.now())
    session.terminal.err(
      `operator ${name} is ${created.role} of ${created.pools.join(', ')}, expires ${expires}\n`,
    )
    if (file === undefined) session.terminal.out(`${token}\n`)
  })

  action(operator.command('list').description('all operators'), async (_, options) => {
    const client = await session.client(options.context)
    const operators = await client.call('GET', '/v1/operators', Type.Array(OperatorView))
    print(session, options, operators, () =>
      renderTable(
        {
          head: ['NAME', 'ROLE', 'POOLS', 'EXPIRES'],
          rows: operators.map((one) => [
            one.name,
            one.role,
            one.pools.join(', '),
            renderMoment(one.expiresAt, session.clock.now()),
          ]),
          empty: 'No operators.',
        },
        session.paint,
      ),
    )
  })

  const certificate = operator
    .command('certificate')
    .description('give an operator a client certificate beside the token; the one before is void')
    .argument('<name>')
    .requiredOption('--out <file>', 'PKCS#12 file to write (mode 0600)')
    .option('--password-file <file>', 'with the password of it in the first line; else it is asked for')
    .option('--ttl <duration>', "how long it is valid: 8h, 30d; never longer than the operator's token")
  action<CertificateOptions>(certificate, async ([name = ''], options) => {
    const { passwordFile } = options
    const password = await readPassword({
      ...{ passwordFile, terminal: session.terminal, question: `Password of ${options.out}: ` },
    })
    const body = {
      password: password.reveal(),
      ...(options.ttl === undefined ? {} : { ttlSeconds: Math.round(parseDuration(options.ttl, '--ttl')) }),
    }
    const client = await session.client(options.context)
    const file = await createPrivateFile(options.out)
    let made: OperatorCertificate
    try {
      const path = `/v1/operators/${encodeURIComponent(name)}/certificate`
      made = await client.call('POST', path, OperatorCertificate, { body })
    } catch (error) {
      await file.discard()
      throw error
    }
    await file.finish(Buffer.from(made.pkcs12, 'base64'))
    const { pkcs12: _, ...rest } = made
    print(session, options, { ...rest, file: options.out }, () => [
      `${options.out}: operator ${name}, expires ${renderMoment(made.expiresAt, session.clock.now())}`,
    ])
  })

  const revoke = operator
    .command('revoke-certificate')
    .description('make the client certificate of an operator void; the token stays')
    .argument('<name>')
  action(revoke, async ([name = ''], options) => {
    const client = await session.client(options.context)
    await client.send('DELETE', `/v1/operators/${encodeURIComponent(name)}/certificate`)
    print(session, options, { name, revoked: true }, () => [`certificate of operator ${name} revoked`])
  })

  const remove = operator.command('delete').description('take an operator its access').argument('<name>')
  action(remove, async ([name = ''], options) => {
    const client = await session.client(options.context)
    await client.send('DELETE', `/v1/operators/${encodeURIComponent(name)}`)
    print(session, options, { name, deleted: true }, () => [`operator ${name} deleted`])
  })
}
