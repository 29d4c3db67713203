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
  readonly agentVersion: string
  readonly bootId: string
  readonly status: AgentStatus
  readonly facts?: Readonly<Record<string, string>>
  readonly drainRequest?: { readonly reason: DrainReason; readonly after: AfterDrain }
  readonly drained?: Omit<Drained, 'kind'>
  readonly left: boolean
  /** Which drain it was told; see `drainKey`. */
  readonly drainTold?: string
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
    case 'drain':
      return drain === undefined ? session : { ...session, drainTold: drainKey(drain) }
    case 'bye':
      return session
  }
}
