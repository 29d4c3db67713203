import { randomBytes } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { Replicas } from '../fleet/replicas.ts'
import type { Client } from './client.ts'
import { createElection } from './lease.ts'
import { createMembers } from './lease-members.ts'

/** The replicas of a controller in a cluster. */
export interface LeaseReplicas extends Replicas {
  readonly several: true
  /** Makes this replica known; before that nothing may name it. */
  join(signal: AbortSignal): Promise<void>
  /** Stands for election until aborted, and runs `work` while it leads. The lead is handed over at the end. */
  run(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>
  /** Says that this replica ends. */
  leave(): Promise<void>
  /** For `/readyz`. */
  health(): { readonly ok: boolean; readonly detail: string }
}

export interface LeaseReplicasDeps {
  readonly client: Client
  readonly namespace: string
  readonly release: string
  /** Of the machine or pod. */
  readonly instance: string
  /** Whether what is known of the resources is recent. */
  readonly isCurrent: () => boolean
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/** One Lease for the lead, and one for each replica, that says that it runs. */
export function createLeaseReplicas(deps: LeaseReplicasDeps): LeaseReplicas {
  const { client, namespace, release, clock, random } = deps
  const self = replicaName(deps.instance, randomBytes(3).toString('hex'))
  const log = deps.log.child({ part: 'replicas', replica: self })
  const shared = { client, namespace, identity: self, clock, log, random }
  const members = createMembers({ ...shared, release })
  const election = createElection({ ...shared, name: `${release}-controller` })

  return {
    self,
    several: true,
    leads: election.isLeader,
    isCurrent: deps.isCurrent,
    count: members.count,
    goneSince: members.goneSince,
    onChange: members.onChange,
    join: members.join,
    async run(work, signal) {
      await Promise.all([election.run(work, signal), members.run(signal)])
    },
    leave: members.leave,
    health() {
      const fault = members.fault()
      if (fault !== undefined) return { ok: false, detail: fault }
      const count = `${members.count()} known`
      if (election.isLeader()) return { ok: true, detail: `${count}; this one leads` }
      const holder = election.holder()
      return { ok: true, detail: holder ? `${count}; ${holder} leads` : `${count}; none leads yet` }
    },
  }
}

/** A name that may be part of an object's name (RFC 1123), and is another one after each start. */
export function replicaName(instance: string, start: string): string {
  const name = instance.toLowerCase().replace(/[^a-z0-9-]+/g, '-')
  return `${name.replace(/^-+/, '').slice(0, 63) || 'controller'}-${start}`
}
