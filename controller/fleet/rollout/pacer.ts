import type { Clock } from '../../../shared/clock.ts'
import type { Mesh } from '../../mesh/mesh.ts'
import type { Chronicle } from '../chronicle.ts'
import type { Roster } from '../roster.ts'
import type { SessionFacts } from '../session.ts'
import type { Wishes } from '../wishes.ts'
import { planRollout, type RolloutMember } from './plan.ts'

/** Lets the VMs of each pool take what makes their sidecar start anew, as many at a time as the pool says. */
export interface Pacer {
  /** One look at all pools; `wakeAt`: when to look again although nothing happened. */
  pace(): Promise<{ readonly wakeAt?: number }>
}

export interface PacerDeps {
  readonly mesh: Pick<Mesh, 'facts'>
  readonly roster: Pick<Roster, 'vms' | 'pools' | 'refresh'>
  readonly session: (vm: string) => SessionFacts | undefined
  readonly wishes: Pick<Wishes, 'roll'>
  readonly chronicle: Pick<Chronicle, 'halted'>
  readonly clock: Clock
}

export function createPacer(deps: PacerDeps): Pacer {
  const { mesh, roster, session, wishes, chronicle, clock } = deps

  function byPool(): ReadonlyMap<string, readonly RolloutMember[]> {
    const members = new Map<string, RolloutMember[]>()
    for (const [vm, record] of roster.vms()) {
      const facts = session(vm)
      // Of a stream that another replica has, its word counts.
      const restartPending =
        facts === undefined
          ? record.restartPending === true
          : facts.state === 'open' && facts.status.restartPending === true
      const list = members.get(record.pool) ?? []
      list.push({ vm, record, restartPending })
      members.set(record.pool, list)
    }
    return members
  }

  return {
    async pace() {
      const { artifacts, certificateTtlSeconds } = mesh.facts()
      const wakes: number[] = []
      for (const [name, members] of byPool()) {
        const pool = roster.pools().get(name)
        if (pool === undefined) continue
        const question = { pool, members, artifacts, certificateTtlSeconds, now: clock.now() }
        const { steps, wakeAt } = planRollout(question)
        if (wakeAt !== undefined) wakes.push(wakeAt)
        // One after the other: each step is known before the next plan counts who serves.
        for (const step of steps) {
          const seen = roster.vms().get(step.vm)
          if (seen === undefined) continue
          await wishes.roll(step.vm, seen, step)
          await roster.refresh('vm', step.vm)
          if (step.do === 'take-back') chronicle.halted(step.vm, seen, step.why)
        }
      }
      return wakes.length === 0 ? {} : { wakeAt: Math.min(...wakes) }
    },
  }
}
