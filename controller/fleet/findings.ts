import type { Condition, ConditionStatus, ConditionType } from '../../shared/conditions.ts'
import { conditionCatalogue, firstFault, withCondition } from '../../shared/conditions.ts'
import { hasEntry, type Phase } from '../../shared/lifecycle.ts'
import { drainForcedAt, isConnected, wantedDrain } from './phase.ts'
import { printable } from './session.ts'
import type { Situation } from './situation.ts'

/** How the entry stands once all that comes before the record's write is done. */
export type EntryFinding = 'as-wanted' | 'to-open' | 'none'

export interface Found {
  readonly situation: Situation
  readonly phase: Phase
  readonly entry: EntryFinding
}

type Finding = Omit<Condition, 'since'>

/** All conditions of a VM: what its agent reported, and what the controller finds. Texts hold no time or count
 * that grows, since every change of a condition is a write. */
export function conditionsOf(found: Found): readonly Condition[] {
  const { situation } = found
  const { now } = situation
  let list = situation.record.conditions
  const put = (finding: Finding | undefined) => {
    if (finding !== undefined) list = withCondition(list, finding, now)
  }
  const reports = reported(situation)
  if (situation.session !== undefined) {
    // What the agent does not report any more is not known any more.
    const kept = (c: Condition) =>
      !isAgents(c.type) || c.type === 'Drained' || reports.some((r) => r.type === c.type)
    if (!list.every(kept)) list = list.filter(kept)
  }
  for (const report of reports) put(report)
  if (hasEntry(found.phase) && situation.record.drain === undefined) {
    if (list.some((c) => c.type === 'Drained')) list = list.filter((c) => c.type !== 'Drained')
  }
  put(drained(situation))
  put(admitted(found))
  put(connected(found))
  put(entryWritten(found, list))
  put(endpointOpen(found))
  put(ready(found, list))
  return list
}

function reported({ session }: Situation): Finding[] {
  const known: Finding[] = []
  for (const { type, status, reason, message } of session?.status.conditions ?? []) {
    // What a newer agent reports beyond the catalogue is dropped, and nobody speaks for the controller.
    if (!isConditionType(type) || !isAgents(type) || type === 'Drained') continue
    known.push({ type, status, reason: printable(reason), message: printable(message) })
  }
  return known
}

function drained(situation: Situation): Finding | undefined {
  const { session, record, now } = situation
  if (record.drain !== undefined && session?.drained !== undefined) {
    const { result, openRequests, openConnections } = session.drained
    return result === 'quiet'
      ? finding('Drained', 'True', 'Quiet', 'no request was open')
      : finding(
          'Drained',
          'True',
          'DRAIN_DEADLINE',
          `cut at the deadline: ${openRequests} requests and ${openConnections} connections`,
        )
  }
  const forcedAt = drainForcedAt(situation)
  if (forcedAt === undefined || now < forcedAt) return undefined
  if (record.conditions.some((c) => c.type === 'Drained' && c.status === 'True')) return undefined
  return finding('Drained', 'False', 'DRAIN_DEADLINE', 'its agent did not say in time that it is drained')
}

function admitted({ situation, phase }: Found): Finding | undefined {
  const { record } = situation
  if (record.revoked !== undefined) {
    return finding('Admitted', 'False', 'KEY_REVOKED', `removed by ${record.revoked.by}`)
  }
  if (phase === 'announced') return finding('Admitted', 'False', 'Announced', 'it did not join yet')
  return finding('Admitted', 'True', 'Admitted', `by join method ${record.method}`)
}

function connected({ situation, phase }: Found): Finding | undefined {
  const { hearing, session, record } = situation
  if (!hasEntry(phase)) return finding('Connected', 'False', 'NotJoined', `it is ${phase}`)
  if (hearing.state === 'vanished') {
    return finding('Connected', 'False', 'NotHeard', 'not heard from in time: power, network or agent')
  }
  if (hearing.state === 'held') {
    return finding(
      'Connected',
      'False',
      'MassLoss',
      'not heard from, like too many others at once; its endpoint is left as it was',
    )
  }
  if (isConnected(situation)) return finding('Connected', 'True', 'StreamOpen', 'its stream is open')
  if (session !== undefined) return finding('Connected', 'False', 'StreamClosed', 'its stream closed')
  // Right after a start of the controller the last word holds.
  if (record.stream !== undefined) return undefined
  return finding('Connected', 'Unknown', 'NeverConnected', 'its agent did not open a stream yet')
}

function entryWritten(found: Found, list: readonly Condition[]): Finding | undefined {
  const { situation, phase, entry } = found
  if (!hasEntry(phase)) {
    return finding('EntryWritten', 'False', 'NotJoined', 'a VM that is not in the mesh has none')
  }
  if (situation.addressOwner !== situation.vm) {
    return finding(
      'EntryWritten',
      'False',
      'ADDRESS_TAKEN',
      `${situation.record.address} belongs to ${situation.addressOwner} now`,
    )
  }
  if (situation.pool === undefined) {
    return finding('EntryWritten', 'False', 'POOL_UNKNOWN', `pool ${situation.record.pool} does not exist`)
  }
  if (entry === 'as-wanted') return finding('EntryWritten', 'True', 'Written', 'written')
  if (list.some((c) => c.type === 'EntryWritten')) return undefined
  return finding('EntryWritten', 'Unknown', 'Pending', 'not written yet')
}

function endpointOpen({ situation, phase, entry }: Found): Finding {
  if (phase === 'ready') {
    return entry === 'as-wanted'
      ? finding('EndpointOpen', 'True', 'Open', 'peers may send it new requests')
      : finding('EndpointOpen', 'False', 'Opening', 'its entry is about to be opened')
  }
  const drain = hasEntry(phase) ? wantedDrain(situation) : undefined
  if (drain === undefined && situation.record.restart !== undefined && phase === 'unhealthy') {
    return finding('EndpointOpen', 'False', 'SidecarRestarts', 'closed while its sidecar is started anew')
  }
  const why =
    drain === undefined ? `it is ${phase}` : `it is ${phase}: ${drain.reason}, wished by ${drain.by}`
  return finding('EndpointOpen', 'False', reasonOf(phase), why)
}

function ready({ phase, entry }: Found, list: readonly Condition[]): Finding {
  if (phase === 'ready' && entry === 'as-wanted') return finding('Ready', 'True', 'Serving', 'in the mesh')
  const fault = firstFault(list)
  if (fault === undefined) return finding('Ready', 'False', reasonOf(phase), `it is ${phase}`)
  return finding('Ready', 'False', fault.reason, `${conditionCatalogue[fault.type].title}: ${fault.status}`)
}

function finding(type: ConditionType, status: ConditionStatus, reason: string, message: string): Finding {
  return { type, status, reason, message }
}

function reasonOf(phase: Phase): string {
  return `${phase.slice(0, 1).toUpperCase()}${phase.slice(1)}`
}

function isConditionType(type: string): type is ConditionType {
  return Object.hasOwn(conditionCatalogue, type)
}

function isAgents(type: ConditionType): boolean {
  return conditionCatalogue[type].from === 'agent'
}
