import type { AfterDrain, AgentStatus, Down, DrainReason, Up } from '../../shared/api/stream.ts'
import type { DesiredDrain } from '../store/records.ts'

type Drained = Extract<Up, { kind: 'drained' }>

/**
 * What one stream of a VM said and was told. Only the newest stream of a VM counts; what must outlive the
 * stream is written to the VM's record.
 */
export interface SessionFacts {
  /** `greeting`: it said hello and has no answer yet. */
  readonly state: 'greeting' | 'open' | 'closed'
  /** 0 until it is welcomed. */
  readonly epoch: number
  readonly keyThumbprint: string
  /** Names this stream; known to its two ends alone. */
  readonly name: string
  readonly agentVersion: string
  readonly bootId: string
  readonly status: AgentStatus
  readonly facts?: Readonly<Record<string, string>>
  readonly drainRequest?: { readonly reason: DrainReason; readonly after: AfterDrain }
  readonly drained?: Omit<Drained, 'kind'>
  readonly left: boolean
  /** Which drain it was told; see `drainKey`. */
  readonly drainTold?: string
  /** It was told to start its sidecar anew, and did not yet. */
  readonly restartTold?: boolean
  /** Which revision of the bundle it was told. */
  readonly revisionTold?: string
}

/** Tells one wish to drain from another, so that each is sent once in a stream. */
export function drainKey(drain: DesiredDrain): string {
  return `${drain.requestedAt}/${drain.after}`
}

/** The session after `message` was sent into it. */
export function told(session: SessionFacts, message: Down, drain: DesiredDrain | undefined): SessionFacts {
  switch (message.kind) {
    case 'welcome':
      return { ...session, state: 'open', epoch: message.epoch, revisionTold: message.bundleRevision }
    case 'refresh':
      return { ...session, revisionTold: message.bundleRevision }
    case 'restart':
      return { ...session, restartTold: true }
    case 'drain':
      return drain === undefined ? session : { ...session, drainTold: drainKey(drain) }
    case 'bye':
      return session
  }
}

/** How soon what an agent said must be looked at. */
export type Urgency = 'now' | 'soon'

/** The session after the agent said `message`; without an urgency there is nothing to look at. */
export function said(
  session: SessionFacts,
  message: Exclude<Up, { kind: 'hello' }>,
): { readonly facts: SessionFacts; readonly urgency?: Urgency } {
  switch (message.kind) {
    case 'heartbeat':
      return { facts: session }
    case 'status': {
      const { status } = message
      const { restartTold, ...rest } = session
      const isTold = restartTold === true && status.restartPending === true
      const facts = { ...rest, status, ...(isTold && { restartTold }) }
      return { facts, urgency: isTransition(session.status, status) ? 'now' : 'soon' }
    }
    case 'facts':
      return { facts: { ...session, facts: bounded(message.facts) }, urgency: 'soon' }
    case 'drain-request': {
      const { reason, after } = message
      return { facts: { ...session, drainRequest: { reason, after } }, urgency: 'now' }
    }
    case 'drained': {
      const { result, openRequests, openConnections } = message
      return { facts: { ...session, drained: { result, openRequests, openConnections } }, urgency: 'now' }
    }
    case 'left':
      return { facts: { ...session, left: true }, urgency: 'now' }
  }
}

function isTransition(old: AgentStatus, fresh: AgentStatus): boolean {
  if (old.health !== fresh.health || old.bundleRevision !== fresh.bundleRevision) return true
  if (old.restartPending !== fresh.restartPending) return true
  return fresh.conditions.some(
    (c) => !old.conditions.some((o) => o.type === c.type && o.status === c.status && o.reason === c.reason),
  )
}

// Facts are shown to people; nobody reads more of them.
const mostFacts = 64

function bounded(facts: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(facts).slice(0, mostFacts)
  return Object.fromEntries(entries.map(([name, text]) => [printable(name), printable(text)]))
}

/** Text of a VM as it may be shown in a terminal. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, ' ')
}
