import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { Type } from 'typebox'
import { stringify } from 'yaml'
import { type Pool, type PoolCondition, PoolView } from '../../shared/api/operator.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import { action, print } from '../action.ts'
import { renderMoment } from '../duration.ts'
import { readPools } from '../pool-document.ts'
import type { Session } from '../session.ts'
import { renderTable } from '../table.ts'

/** `mooring pool ...`. */
export function addPoolCommands(program: Command, session: Session): void {
  const pool = program.command('pool').description('VMs that are alike: who may join, and as what')

  const apply = pool
    .command('apply')
    .description('create pools, or change them to what the files say')
    .requiredOption(
      '-f, --file <files...>',
      'YAML of one or several documents, each `name` and `spec`; - is standard input',
    )
  action<{ file: readonly string[] }>(apply, async (_, options) => {
    // All are read before the first is sent: a mistake in the last file changes nothing.
    const pools: Pool[] = []
    for (const file of options.file) pools.push(...readPools(await readSource(session, file), file))
    const client = await session.client(options.context)
    const views: PoolView[] = []
    for (const { name, spec } of pools) {
      const view = await client.call('PUT', poolPath(name), PoolView, { body: spec })
      views.push(view)
      if (options.json !== true) {
        session.terminal.out(`pool ${name} ${view.createdAt === view.updatedAt ? 'created' : 'applied'}\n`)
      }
    }
    if (options.json === true) print(session, options, views, () => [])
  })

  action(pool.command('list').description('all pools'), async (_, options) => {
    const client = await session.client(options.context)
    const pools = await client.call('GET', '/v1/pools', Type.Array(PoolView))
    print(session, options, pools, () =>
      renderTable(
        {
          head: ['NAME', 'NAMESPACE', 'ACCOUNT', 'SERVICE', 'JOIN', 'READY', 'VMS'],
          rows: pools.map(({ name, spec, counts }) => [
            name,
            spec.namespace,
            spec.serviceAccount,
            renderService(spec.service),
            spec.join.methods.join(', '),
            String(counts.ready ?? 0),
            String(Object.values(counts).reduce((sum, count) => sum + count, 0)),
          ]),
          empty: 'No pools. Make one: mooring pool apply -f FILE',
        },
        session.paint,
      ),
    )
  })

  const show = pool.command('show').description('one pool, as `apply` takes it').argument('<name>')
  action(show, async ([name = ''], options) => {
    const client = await session.client(options.context)
    const view = await client.call('GET', poolPath(name), PoolView)
    const counts = Object.entries(view.counts).map(([phase, count]) => `${count} ${phase}`)
    const now = session.clock.now()
    print(session, options, view, () => [
      `# created ${renderMoment(view.createdAt, now)}, changed ${renderMoment(view.updatedAt, now)}`,
      `# VMs: ${counts.join(', ') || 'none'}`,
      ...renderRollout(view.rollout),
      ...(view.conditions ?? []).map(renderCondition),
      stringify({ name: view.name, spec: view.spec }).trimEnd(),
    ])
  })

  const remove = pool.command('delete').description('delete a pool that has no VMs').argument('<name>')
  action(remove, async ([name = ''], options) => {
    const client = await session.client(options.context)
    await client.send('DELETE', poolPath(name))
    print(session, options, { name, deleted: true }, () => [`pool ${name} deleted`])
  })
}

async function readSource(session: Session, file: string): Promise<string> {
  if (file === '-') return await session.terminal.readAll()
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new MooringError('CONFIG_INVALID', { detail: `${file} cannot be read: ${errorText(cause)}`, cause })
  }
}

function renderService(service: Pool['spec']['service']): string {
  if (service === undefined) return '-'
  return `${service.host}:${service.ports.map((port) => port.number).join(',')}`
}

/** A comment, so that what is shown can be applied again. */
function renderCondition({ type, status, reason, message }: PoolCondition): string {
  return `# ${type} ${status}, ${reason}: ${message.replace(/\s+/g, ' ')}`
}

function renderRollout(rollout: PoolView['rollout']): string[] {
  if (rollout === undefined) return []
  const { version, state, updated, total, detail } = rollout
  const line = `# sidecar ${version}: ${state}, ${updated} of ${total}`
  return [detail === undefined ? line : `${line}; ${detail}`]
}

function poolPath(name: string): string {
  return `/v1/pools/${encodeURIComponent(name)}`
}
