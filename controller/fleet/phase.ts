import { hasEntry, type LifecycleEvent, next, type Phase } from '../../shared/lifecycle.ts'
import type { DesiredDrain } from '../store/records.ts'
import type { Situation } from './situation.ts'
import { drainDeadline, drainSlackMs } from './terms.ts'

/** The phase that the VM is in now; the table of the lifecycle alone says which phase follows which. */
export function phaseNow(situation: Situation): Phase {
  const { record, session, hearing } = situation
  let phase = record.phase
  const happen = (event: LifecycleEvent) => {
    phase = next(phase, event)
  }
  if (mustLeave(situation)) happen('leave')
  if (!hasEntry(phase)) return phase
  if (isConnected(situation)) happen('connect')
  if (situation.addressOwner !== situation.vm || hearing.state === 'vanished') {
    happen('vanish')
    return phase
  }
  if (wantedDrain(situation) !== undefined) happen('drain')
  const isClosed = record.restart !== undefined && !isRestarted(situation)
  if (session?.status.health === 'healthy' && !isClosed) happen('healthy')
  if (session?.status.health === 'unhealthy' || hasRebooted(situation) || isClosed) happen('unhealthy')
  return phase
}

/** A machine that booted anew serves nothing until its agent says so; an agent that only restarted does not close. */
function hasRebooted({ record, session }: Situation): boolean {
  if (session?.status.health !== 'unknown' || session.bootId === '' || record.bootId === '') return false
  return session.bootId !== record.bootId
}

/** Whether the sidecar for which its endpoint is closed was started anew, and all is well. */
export function isRestarted({ session }: Situation): boolean {
  return session?.status.health === 'healthy' && session.status.restartPending !== true
}

/** Whether what it was given runs, and it is as well as it was before. */
export function isUpdated(situation: Situation): boolean {
  const { record, session, revision } = situation
  if (record.update === undefined || session === undefined || !isConnected(situation)) return false
  const { status } = session
  const isSo = (type: string) => status.conditions.some((c) => c.type === type && c.status === 'True')
  return (
    status.bundleRevision === revision &&
    status.sidecarVersion === record.artifact?.version &&
    status.restartPending !== true &&
    isSo('SidecarInstalled') &&
    isSo('SidecarReady') &&
    (status.health === 'healthy' || !record.update.served)
  )
}

/** Whether the VM has an open stream. */
export function isConnected({ session }: Situation): boolean {
  return session !== undefined && session.state !== 'closed'
}

/** The drain that is wished: the record's, or what the VM asked for itself. A wish to leave beats one to hold. */
export function wantedDrain({ vm, record, session, now }: Situation): DesiredDrain | undefined {
  if (!hasEntry(record.phase)) return undefined
  const asked = session?.drainRequest
  if (asked === undefined) return record.drain
  if (record.drain !== undefined && (record.drain.after === 'leave' || asked.after === 'hold'))
    return record.drain
  return { reason: asked.reason, after: asked.after, requestedAt: now, by: `vm:${vm}` }
}

/** Whether it said that it is drained, now or before. */
export function isDrained({ record, session }: Situation): boolean {
  if (record.drain !== undefined && session?.drained !== undefined) return true
  return record.conditions.some((c) => c.type === 'Drained' && c.status === 'True')
}

/** When an agent that was told to drain is no longer waited for; undefined when it is not draining. */
export function drainForcedAt({ record, terms }: Situation): number | undefined {
  if (record.phase !== 'draining' || record.drain === undefined) return undefined
  return drainDeadline(record.drain, record.phaseSince, terms) + drainSlackMs
}

function mustLeave(situation: Situation): boolean {
  const { record, session, hearing, terms, now } = situation
  if (session?.left === true) return true
  const gone = hearing.state === 'vanished'
  if (record.revoked !== undefined) {
    const forcedAt = drainForcedAt(situation)
    return (
      record.revoked.now || gone || record.phase === 'lost' || (forcedAt !== undefined && now >= forcedAt)
    )
  }
  if (!gone) return false
  // It did what it was asked before it fell silent: nothing is left to wait for.
  if (record.phase === 'draining' && record.drain?.after === 'leave' && isDrained(situation)) return true
  return record.phase === 'lost' && now >= record.phaseSince + terms.graceMs
}
