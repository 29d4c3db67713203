import type { Command } from 'commander'
import { type Static, Type } from 'typebox'
import { AuditRecord } from '../../shared/api/operator.ts'
import { createBackoff } from '../../shared/backoff.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import { action, type GlobalOptions } from '../action.ts'
import type { Client } from '../client.ts'
import { renderTime } from '../duration.ts'
import type { Session } from '../session.ts'
import { plain, renderTable } from '../table.ts'

interface AuditOptions extends GlobalOptions {
  readonly target?: string
  readonly limit: string
  readonly follow?: boolean
}

const pollMs = 2000
const pageSize = 1000
type Row = Static<typeof AuditRecord>

/** `mooring audit`. */
export function addAuditCommand(program: Command, session: Session): void {
  const audit = program
    .command('audit')
    .description('who did or tried what: joins, drains, removals, changes')
    .option('--target <target>', 'of one thing: pool/web, vm/vm-0123')
    .option('--limit <number>', 'the newest so many', '100')
    .option('--follow', 'and go on with what comes')
  action<AuditOptions>(audit, async (_, options) => {
    const limit = Number(options.limit)
    if (!Number.isInteger(limit) || limit < 1 || limit > pageSize) {
      throw new MooringError('CONFIG_INVALID', {
        detail: `--limit: "${options.limit}" is not between 1 and ${pageSize}`,
      })
    }
    const client = await session.client(options.context)
    const records = await query(client, { limit, target: options.target })
    if (options.follow !== true) return printAll(session, options, records)
    for (const record of records) printOne(session, options, record)
    await follow(session, client, options, records.at(-1)?.seq ?? 0)
  })
}

async function follow(session: Session, client: Client, options: AuditOptions, from: number): Promise<void> {
  const { clock, signal, terminal, random } = session
  const backoff = createBackoff({ baseMs: pollMs, maxMs: 30_000, floorMs: 500, random })
  let after = from
  for (;;) {
    let pause = pollMs
    try {
      const records = await query(client, { after, limit: pageSize, target: options.target })
      for (const record of records) printOne(session, options, record)
      after = records.at(-1)?.seq ?? after
      backoff.reset()
    } catch (error) {
      if (signal.aborted || !isMooringError(error) || !error.retryable) throw error
      terminal.err(`${plain(errorText(error))}; trying again\n`)
      pause = backoff.next()
    }
    await clock.sleep(pause, signal)
  }
}

async function query(
  client: Client,
  given: Readonly<Record<string, string | number | undefined>>,
): Promise<Row[]> {
  return await client.call('GET', '/v1/audit', Type.Array(AuditRecord), { query: given })
}

function printAll(session: Session, options: AuditOptions, records: readonly Row[]): void {
  const { terminal, paint } = session
  if (options.json === true) {
    terminal.out(`${JSON.stringify(records, null, 2)}\n`)
    return
  }
  const head = ['TIME', 'ACTOR', 'ACTION', 'TARGET', 'OUTCOME', 'DETAIL']
  const table = renderTable({ head, rows: records.map(cells), empty: 'No records.' }, paint)
  terminal.out(`${table.join('\n')}\n`)
}

function printOne({ terminal, paint }: Session, options: AuditOptions, record: Row): void {
  const row = renderTable({ head: [], rows: [cells(record)], empty: '' }, paint)[1] ?? ''
  terminal.out(`${options.json === true ? JSON.stringify(record) : row}\n`)
}

function cells(record: Row) {
  const { time, actor, action: what, target, outcome, code, detail, address } = record
  const about = [code, detail, address && `from ${address}`].filter(Boolean).join(' ')
  return [
    renderTime(time),
    actor,
    what,
    target,
    { text: outcome, tone: outcome === 'denied' ? 'bad' : 'good' },
    about,
  ] as const
}
