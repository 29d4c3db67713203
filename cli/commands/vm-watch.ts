import type { Command } from 'commander'
import type { VmView } from '../../shared/api/operator.ts'
import { action } from '../action.ts'
import { renderDuration, renderTime } from '../duration.ts'
import { createScreen } from '../screen.ts'
import type { Session } from '../session.ts'
import { plain, renderTable } from '../table.ts'
import { type VmChange, watchVms } from '../vm-events.ts'
import { causeOf, phaseCell, vmTable } from '../vm-row.ts'

const redrawMs = 1000

/** `mooring vm watch`: a live table for people, one line a change everywhere else. */
export function addVmWatchCommand(vm: Command, session: Session): void {
  const watch = vm
    .command('watch')
    .description('what happens to VMs, as it happens')
    .option('--pool <name>', 'of one pool')
  action<{ pool?: string }>(watch, async (_, options) => {
    const client = await session.client(options.context)
    const { clock, random, signal, terminal } = session
    const changes = watchVms({ client, clock, random, signal }, options.pool)
    if (options.json === true) return await printJson(session, changes)
    if (terminal.tty) return await drawTable(session, changes)
    return await printLines(session, changes)
  })
}

async function printJson({ terminal }: Session, changes: AsyncIterable<VmChange>): Promise<void> {
  for await (const change of changes) {
    if (change.kind === 'interrupted') terminal.err(`${renderInterruption(change)}\n`)
    else if (change.kind === 'vm') terminal.out(`${JSON.stringify({ event: 'vm', vm: change.vm })}\n`)
    else terminal.out(`${JSON.stringify({ event: 'gone', id: change.id })}\n`)
  }
}

async function printLines({ terminal, clock }: Session, changes: AsyncIterable<VmChange>): Promise<void> {
  const last = new Map<string, string>()
  for await (const change of changes) {
    if (change.kind === 'interrupted') {
      terminal.err(`${renderInterruption(change)}\n`)
      continue
    }
    const id = change.kind === 'vm' ? change.vm.id : change.id
    const text = change.kind === 'vm' ? describe(change.vm) : 'gone'
    // A heartbeat is a change to the controller and none to the reader.
    if (last.get(id) === text) continue
    if (change.kind === 'vm') last.set(id, text)
    else last.delete(id)
    terminal.out(`${renderTime(clock.now())} ${id} ${plain(text)}\n`)
  }
}

async function drawTable(session: Session, changes: AsyncIterable<VmChange>): Promise<void> {
  const { terminal, clock, paint, signal } = session
  const screen = createScreen(terminal)
  const vms = new Map<string, VmView>()
  const done = new AbortController()
  const until = AbortSignal.any([signal, done.signal])
  let note = ''
  const draw = () => {
    const table = renderTable(vmTable([...vms.values()], clock.now()), paint, terminal.columns())
    screen.draw(note === '' ? table : [...table, paint(note, 'wait')])
  }
  // Ages grow while nothing happens, so it is drawn by time and not by change.
  const redraw = async () => {
    for (;;) {
      draw()
      await clock.sleep(redrawMs, until)
    }
  }
  const read = async () => {
    try {
      for await (const change of changes) {
        note = change.kind === 'interrupted' ? renderInterruption(change) : ''
        if (change.kind === 'vm') vms.set(change.vm.id, change.vm)
        if (change.kind === 'gone') vms.delete(change.id)
      }
    } finally {
      done.abort()
    }
  }
  const [, result] = await Promise.allSettled([redraw(), read()])
  draw()
  if (result.status === 'rejected') throw result.reason
}

function describe(vm: VmView): string {
  const cause = causeOf(vm)
  return `${vm.pool} ${phaseCell(vm.phase).text} ${vm.address}${cause === '' ? '' : ` ${cause}`}`
}

function renderInterruption(change: Extract<VmChange, { kind: 'interrupted' }>): string {
  return `connection lost (${plain(change.why)}); again in ${renderDuration(change.retryMs)}`
}
