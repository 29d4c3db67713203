import type { Command } from 'commander'
import { Type } from 'typebox'
import { type DrainCreate, VmExplanation, VmView } from '../../shared/api/operator.ts'
import { conditionCatalogue } from '../../shared/conditions.ts'
import { MooringError } from '../../shared/errors.ts'
import { action, type GlobalOptions, print } from '../action.ts'
import type { Client } from '../client.ts'
import { parseDuration, renderDuration, renderMoment, renderTime } from '../duration.ts'
import type { Session } from '../session.ts'
import { plain, renderFields, renderTable } from '../table.ts'
import { findVm, vmPath } from '../vm-reference.ts'
import { conditionTable, phaseCell, vmTable } from '../vm-row.ts'
import { waitForVm } from '../vm-wait.ts'

interface DrainOptions {
  readonly hold?: boolean
  readonly deadline?: string
  readonly wait?: boolean
  readonly timeout: string
}

interface RemoveOptions {
  readonly now?: boolean
  readonly yes?: boolean
  readonly wait?: boolean
  readonly timeout: string
}

/** `mooring vm ...`, but `watch`. Ids may be abbreviated as long as one VM alone fits. */
export function addVmCommands(vm: Command, session: Session): void {
  const list = vm.command('list').description('all VMs').option('--pool <name>', 'of one pool')
  action<{ pool?: string }>(list, async (_, options) => {
    const client = await session.client(options.context)
    const vms = await client.call('GET', '/v1/vms', Type.Array(VmView), { query: { pool: options.pool } })
    print(session, options, vms, () => renderTable(vmTable(vms, session.clock.now()), session.paint))
  })

  const show = vm
    .command('show')
    .description('one VM in full')
    .argument('<id>', 'its id, or the beginning of it')
  action(show, async ([id = ''], options) => {
    const view = await findVm(await session.client(options.context), id)
    print(session, options, view, () => renderVm(view, session))
  })

  const explain = vm.command('explain').description('why a VM is not ready, and what to do').argument('<id>')
  action(explain, async ([id = ''], options) => {
    const client = await session.client(options.context)
    const { id: full } = await findVm(client, id)
    const explanation = await client.call('GET', vmPath(full, '/explanation'), VmExplanation)
    print(session, options, explanation, () => renderExplanation(explanation, session))
  })

  const drain = vm
    .command('drain')
    .description('let a VM take no new requests, finish its open ones, and leave the mesh')
    .argument('<id>')
    .option('--hold', 'keep it drained in the mesh, instead of letting it leave')
    .option('--deadline <duration>', "when open requests are cut; the pool's own deadline when absent")
    .option('--wait', 'until it is done')
    .option('--timeout <duration>', 'how long to wait', '10m')
  action<DrainOptions>(drain, async ([id = ''], options) => {
    const body: DrainCreate = {
      after: options.hold === true ? 'hold' : 'leave',
      ...(options.deadline === undefined
        ? {}
        : { deadlineSeconds: parseDuration(options.deadline, '--deadline') }),
    }
    const limit = parseDuration(options.timeout, '--timeout')
    const client = await session.client(options.context)
    const { id: full } = await findVm(client, id)
    const asked = await client.call('POST', vmPath(full, '/drain'), VmView, { body })
    await finish(client, asked, options, limit, options.hold === true ? 'drained' : 'left')
  })

  const remove = vm
    .command('remove')
    .description('drain a VM, take it out of the mesh, and never accept its key again')
    .argument('<id>')
    .option('--now', 'without draining: open requests fail')
    .option('--yes', 'do not ask')
    .option('--wait', 'until it is done')
    .option('--timeout <duration>', 'how long to wait', '10m')
  action<RemoveOptions>(remove, async ([id = ''], options) => {
    const limit = parseDuration(options.timeout, '--timeout')
    const client = await session.client(options.context)
    const view = await findVm(client, id)
    if (options.yes !== true) {
      const how = options.now === true ? ' at once, with its open requests' : ''
      const sure = await session.terminal.confirm(
        `Remove ${view.id} (${plain(view.hostname)}, ${view.phase})${how}?`,
      )
      if (!sure) throw new MooringError('CONFIG_INVALID', { detail: 'not removed: the answer was no' })
    }
    const query = { now: options.now === true ? true : undefined }
    const asked = await client.call('DELETE', vmPath(view.id), VmView, { query })
    await finish(client, asked, options, limit, 'left')
  })

  async function finish(
    client: Client,
    asked: VmView,
    options: GlobalOptions & { readonly wait?: boolean },
    limitSeconds: number,
    goal: 'left' | 'drained',
  ): Promise<void> {
    if (options.wait !== true) {
      return print(session, options, asked, () => [
        `${asked.id} is asked to ${goal === 'left' ? 'leave' : 'drain'}`,
      ])
    }
    const { clock, signal } = session
    const began = clock.now()
    const last = await waitForVm({ client, clock, signal, random: session.random }, asked, goal, limitSeconds)
    print(session, options, last, () => [`${asked.id} ${goal} after ${renderDuration(clock.now() - began)}`])
  }
}

function renderVm(view: VmView, { clock, paint }: Session): readonly string[] {
  const now = clock.now()
  const nics = view.nics.map((nic) => `${nic.interface} ${nic.address}/${nic.prefix}`)
  const { draining } = view
  const fields = renderFields(
    [
      ['id', view.id],
      ['pool', view.pool],
      ['phase', phaseCell(view.phase)],
      ['for', renderDuration(now - view.phaseSince)],
      ['health', view.health],
      ['draining', draining && `${draining.reason}, by ${draining.by}, then ${draining.after}`],
      ['revoked', view.revoked ? { text: 'yes, its key is not accepted again', tone: 'bad' } : undefined],
      ['address', view.address],
      ['interfaces', nics.join(', ')],
      ['host', `${view.hostname} (${view.arch})`],
      ['identity', view.identity],
      ['joined by', view.method],
      ['agent', `${view.agentVersion}, ${view.connected ? 'connected' : 'not connected'}`],
      [
        'last heard',
        view.lastHeard === 0 ? 'not since the controller started' : renderMoment(view.lastHeard, now),
      ],
      ['sidecar', view.sidecarVersion && `${view.sidecarVersion}, ${view.sidecarRestarts} restarts`],
      ['certificate', `expires ${renderMoment(view.certificateExpiresAt, now)}`],
      ['known since', renderTime(view.createdAt)],
      ...Object.entries(view.facts).map(([name, value]) => [name, value] as const),
    ],
    paint,
  )
  return [...fields, '', ...renderTable(conditionTable(view.conditions, now), paint)]
}

function renderExplanation(explanation: VmExplanation, { clock, paint }: Session): readonly string[] {
  const { step, cause, fix, since } = explanation
  const known = step !== undefined && Object.hasOwn(conditionCatalogue, step)
  const title = known ? ` (${conditionCatalogue[step as keyof typeof conditionCatalogue].title})` : ''
  return [
    `${paint(explanation.id, 'strong')}: ${paint(plain(explanation.summary), explanation.ready ? 'good' : 'bad')}`,
    ...renderFields(
      [
        ['  step', step && `${step}${title}`],
        ['  cause', cause],
        ['  fix', fix],
        ['  for', since === undefined ? undefined : renderDuration(clock.now() - since)],
      ],
      paint,
    ),
  ]
}
