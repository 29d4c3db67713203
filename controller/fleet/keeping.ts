import type { Clock } from '../../shared/clock.ts'
import type { VmRecord } from '../store/records.ts'
import { hearElsewhere, type RemoteHearing } from './elsewhere.ts'
import { type Keeping, keeperOf } from './keeper-rules.ts'
import type { Lead } from './lead.ts'
import type { Replicas } from './replicas.ts'
import type { SessionFacts } from './session.ts'
import type { Terms } from './terms.ts'

/** Which VMs are this replica's, and what is known of those that are not. */
export interface Keepings {
  of(vm: string, record: VmRecord): Keeping
  /** Of a VM whose stream another replica has, as far as that wrote; undefined for those that are heard here. */
  elsewhere(vm: string, record: VmRecord): RemoteHearing | undefined
  /** While `work` runs the VM is this replica's: it was admitted here, and waits. */
  admitting<T>(vm: string, work: () => Promise<T>): Promise<T>
}

export interface KeepingsDeps {
  readonly replicas: Replicas
  readonly lead: Pick<Lead, 'holds'>
  readonly session: (vm: string) => SessionFacts | undefined
  readonly terms: (record: VmRecord) => Pick<Terms, 'lostAfterMs'>
  readonly clock: Clock
  /** An admission here is over: whose the VM is now is to be looked at. */
  readonly admitted: (vm: string) => void
}

export function createKeepings(deps: KeepingsDeps): Keepings {
  const { replicas, lead, session, terms, clock } = deps
  const { self, several } = replicas
  const admitted = new Map<string, number>()

  return {
    of: (vm, record) =>
      keeperOf({
        ...{ record, self, several },
        session: session(vm),
        leads: lead.holds,
        ownerGoneSince: record.stream && replicas.goneSince(record.stream.owner),
        admitting: several && admitted.has(vm),
        now: clock.now(),
      }),
    elsewhere(vm, record) {
      const owner = record.stream?.owner
      if (!several || owner === undefined || owner === self || session(vm) !== undefined) return undefined
      if (replicas.goneSince(owner) !== undefined) return undefined
      return hearElsewhere(record, terms(record), clock.now())
    },
    async admitting(vm, work) {
      admitted.set(vm, (admitted.get(vm) ?? 0) + 1)
      try {
        return await work()
      } finally {
        const left = (admitted.get(vm) ?? 1) - 1
        if (left === 0) admitted.delete(vm)
        else admitted.set(vm, left)
        if (several) deps.admitted(vm)
      }
    },
  }
}
