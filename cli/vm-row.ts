import type { VmView } from '../shared/api/operator.ts'
import { type Condition, conditionCatalogue, firstFault } from '../shared/conditions.ts'
import type { Phase } from '../shared/lifecycle.ts'
import { renderDuration } from './duration.ts'
import type { Cell, Table, Tone } from './table.ts'

const tones: Readonly<Record<Phase, Tone>> = {
  announced: 'quiet',
  joining: 'wait',
  joined: 'wait',
  ready: 'good',
  unhealthy: 'bad',
  draining: 'wait',
  lost: 'bad',
  left: 'quiet',
}

/** VMs as a table, by pool and id. */
export function vmTable(vms: readonly VmView[], now: number): Table {
  const sorted = vms.toSorted((a, b) => a.pool.localeCompare(b.pool) || a.id.localeCompare(b.id))
  return {
    head: ['ID', 'POOL', 'PHASE', 'FOR', 'ADDRESS', 'HOST', 'WHY'],
    rows: sorted.map((vm) => [
      vm.id,
      vm.pool,
      phaseCell(vm.phase),
      renderDuration(now - vm.phaseSince),
      vm.address,
      vm.hostname,
      causeOf(vm),
    ]),
    empty: 'No VMs.',
  }
}

export function phaseCell(phase: Phase): Cell {
  return { text: phase, tone: tones[phase] }
}

/** Why a VM does not serve, in a few words; nothing for one that does. */
export function causeOf(vm: Pick<VmView, 'phase' | 'conditions' | 'draining'>): string {
  if (vm.phase === 'ready' || vm.phase === 'left') return ''
  if (vm.draining !== undefined) return `${vm.draining.reason}, by ${vm.draining.by}`
  const fault = firstFault(vm.conditions as readonly Condition[])
  return fault === undefined ? '' : `${fault.type}: ${fault.message || fault.reason}`
}

/** A VM's conditions as a table, in the order in which one leads to the next. */
export function conditionTable(conditions: VmView['conditions'], now: number): Table {
  const sorted = conditions.toSorted(
    (a, b) => conditionCatalogue[a.type].order - conditionCatalogue[b.type].order,
  )
  return {
    head: ['CONDITION', 'STATUS', 'FOR', 'REASON', 'MESSAGE'],
    rows: sorted.map((c) => [
      c.type,
      { text: c.status, tone: c.status === 'True' ? 'good' : c.status === 'False' ? 'bad' : 'wait' },
      renderDuration(now - c.since),
      c.reason,
      c.message,
    ]),
    empty: 'It has reported no conditions yet.',
  }
}
