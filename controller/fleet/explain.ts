import type { Static } from 'typebox'
import type { VmExplanation as VmExplanationSchema } from '../../shared/api/operator.ts'
import { type Condition, conditionCatalogue, firstFault } from '../../shared/conditions.ts'
import { errorCatalogue } from '../../shared/error-catalogue.ts'
import { isErrorCode } from '../../shared/errors.ts'
import type { VmRecord } from '../store/records.ts'
import type { Hearing } from './liveness.ts'
import type { Terms } from './terms.ts'

export type VmExplanation = Static<typeof VmExplanationSchema>

export interface ExplainInput {
  readonly vm: string
  readonly record: VmRecord
  readonly terms: Terms
  readonly hearing: Hearing
  readonly connected: boolean
  readonly now: number
}

interface Answer {
  readonly summary: string
  readonly step?: string
  readonly cause?: string
  readonly fix?: string
  readonly since?: number
}

/** Why a VM is not ready, in words: the failing step, its cause and what to do. Pure. */
export function explain(input: ExplainInput): VmExplanation {
  const ready = condition(input.record, 'Ready')?.status === 'True'
  const answer = bounded(answerFor(input))
  return { id: input.vm, ready, ...answer }
}

function answerFor(input: ExplainInput): Answer {
  const { record, hearing } = input
  if (hearing.state === 'held') return whenHeld(input)
  switch (record.phase) {
    case 'announced':
      return {
        summary: 'It is announced and did not join yet.',
        step: 'Admitted',
        cause: 'No join request came from it.',
        fix: 'Look at its agent: `mooring-agent doctor` on the VM.',
        since: record.phaseSince,
      }
    case 'lost':
      return whenLost(input)
    case 'left':
      return whenLeft(input)
    case 'draining':
      return whenDraining(input)
    case 'ready':
      return isServing(record) ? whenServing(input) : whenFaulty(input)
    default:
      return whenFaulty(input)
  }
}

function isServing(record: VmRecord): boolean {
  return (
    condition(record, 'EndpointOpen')?.status === 'True' &&
    condition(record, 'EntryWritten')?.status !== 'False'
  )
}

/** What keeps no request from it may still have to be mended. */
function whenServing({ record }: ExplainInput): Answer {
  const fault = firstFault(record.conditions.filter(({ status }) => status === 'False'))
  if (fault === undefined) return { summary: 'It is in the mesh and serves.', since: record.phaseSince }
  const { title } = conditionCatalogue[fault.type]
  return { ...blame(fault), summary: `It is in the mesh and serves, but "${title}" is False.` }
}

function whenFaulty(input: ExplainInput): Answer {
  const { record, connected, now } = input
  const named = condition(record, 'EntryWritten')
  // A write that failed holds up everything else, whatever the order of the catalogue.
  const blocked = named?.status === 'False' && isErrorCode(named.reason) ? named : undefined
  const fault = blocked ?? firstFault(record.conditions.filter((c) => c.type !== 'EndpointOpen'))
  const took = lasting(now - record.phaseSince)
  if (fault === undefined || fault.type === 'Connected') {
    if (!connected) return whenSilent(input, took)
    return {
      summary: `It is ${record.phase} for ${took}; no step has failed.`,
      cause: 'Its agent did not report its first judgement of sidecar and application yet.',
      fix: 'Wait; if it stays so, `mooring-agent doctor` on the VM tells what it waits for.',
      since: record.phaseSince,
    }
  }
  return {
    ...blame(fault),
    summary: `It is ${record.phase} for ${took}: "${conditionCatalogue[fault.type].title}" is ${fault.status}.`,
  }
}

function whenSilent({ record }: ExplainInput, took: string): Answer {
  return {
    summary: `It is ${record.phase} for ${took}, and its agent has no stream to the controller.`,
    step: 'Connected',
    cause:
      record.stream === undefined
        ? 'It joined, and its agent never opened a stream.'
        : 'The stream closed, and its agent did not open another yet.',
    fix: 'On the VM: is the agent running (`mooring-agent status`), and can it reach the controller?',
    since: condition(record, 'Connected')?.since ?? record.phaseSince,
  }
}

function whenHeld({ record, terms, hearing, now }: ExplainInput): Answer {
  return {
    summary: `Not heard from for ${silence(record, hearing, now)}, like too many others at once; its endpoint is left as it was.`,
    step: 'Connected',
    cause:
      "So many VMs fell silent together that the controller's own network is the likelier cause; closing is held.",
    fix: `Check the network between controller and VMs. What does not come back is closed at the latest after ${lasting(terms.graceMs)}.`,
    since: condition(record, 'Connected')?.since ?? record.phaseSince,
  }
}

function whenLost(input: ExplainInput): Answer {
  const { record, terms, hearing, connected, now } = input
  const taken = condition(record, 'EntryWritten')
  if (taken?.reason === 'ADDRESS_TAKEN') {
    return {
      ...blame(taken),
      summary: `It was lost, and its address ${record.address} was given to another VM meanwhile.`,
    }
  }
  if (connected && hearing.state === 'alive') {
    return {
      summary: 'It was lost and is back; its agent did not report its health yet.',
      step: 'ApplicationHealthy',
      cause: 'Its agent converges anew before it reports.',
      fix: 'Wait; if it stays so, `mooring-agent doctor` on the VM tells what it waits for.',
      since: record.phaseSince,
    }
  }
  return {
    summary: `It is lost: not heard from for ${silence(record, hearing, now)}. Its endpoint is closed.`,
    step: 'Connected',
    cause: 'The VM has no power, its network is down, or its agent does not run.',
    fix: `Look at the VM's console and \`systemctl status mooring-agent\`. It serves again by itself when it is back; its entry is deleted after ${lasting(terms.graceMs)}.`,
    since: record.phaseSince,
  }
}

function whenLeft({ record }: ExplainInput): Answer {
  if (record.revoked !== undefined) {
    return {
      summary: `It was removed by ${record.revoked.by}, and its key is revoked.`,
      step: 'Admitted',
      cause: errorCatalogue.KEY_REVOKED.title,
      fix: errorCatalogue.KEY_REVOKED.fix,
      since: record.revoked.at,
    }
  }
  return {
    summary: 'It left the mesh.',
    step: 'Admitted',
    cause: condition(record, 'Drained')?.status === 'True' ? 'It was drained first.' : 'It was not drained.',
    fix: 'To have it back, start its agent: it joins anew with its own key.',
    since: record.phaseSince,
  }
}

function whenDraining({ record, connected, now }: ExplainInput): Answer {
  const { drain } = record
  const why = drain === undefined ? 'unknown' : `${drain.reason}, wished by ${drain.by}`
  const since = record.phaseSince
  const drained = condition(record, 'Drained')
  const summary = `It is draining for ${lasting(now - record.phaseSince)} (${why}); peers send it no new requests.`
  if (drained?.status === 'False') {
    return { summary, step: 'Drained', cause: drained.message, fix: errorCatalogue.DRAIN_DEADLINE.fix, since }
  }
  if (drained?.status === 'True') {
    const cause = `Drained: ${drained.message}.`
    return drain?.after === 'hold'
      ? { summary, cause, fix: 'It is held drained on purpose. `mooring vm remove` takes it out.', since }
      : { summary, cause, fix: 'Wait: its agent stops the sidecar and then leaves.', since }
  }
  if (!connected) {
    return {
      summary,
      step: 'Connected',
      cause: 'Its agent has no stream, so it was not told to drain yet.',
      fix: 'It is told as soon as it is back; its endpoint is closed in any case.',
      since,
    }
  }
  return { summary, step: 'Drained', cause: 'Open requests have until the deadline to finish.', since }
}

function blame(fault: Condition): Omit<Answer, 'summary'> {
  const { type, reason, message, since } = fault
  const known = isErrorCode(reason) ? errorCatalogue[reason] : undefined
  const cause = [known?.title ?? reason, message].filter((text) => text !== '').join(': ')
  return { step: type, cause, ...(known && { fix: known.fix }), since }
}

function condition(record: VmRecord, type: Condition['type']): Condition | undefined {
  return record.conditions.find((c) => c.type === type)
}

function silence(record: VmRecord, hearing: Hearing, now: number): string {
  return lasting(now - (hearing.lastHeard || record.lastSeenAt))
}

/** A duration as people say it. */
export function lasting(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

function bounded(answer: Answer): Answer {
  const { summary, fix } = answer
  const short = (text: string) => (text.length <= 1024 ? text : `${text.slice(0, 1023)}…`)
  return { ...answer, summary: short(summary), ...(fix !== undefined && { fix: short(fix) }) }
}
