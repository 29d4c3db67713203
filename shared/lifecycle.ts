/**
 * The life of a VM as one table. Agent, controller, command line and documentation read it; nothing else
 * decides which phase follows which.
 */

/** Every phase a VM can be in. */
export const phases = [
  'announced',
  'joining',
  'joined',
  'ready',
  'unhealthy',
  'draining',
  'lost',
  'left',
] as const
export type Phase = (typeof phases)[number]

/**
 * Everything that can happen to a VM.
 *
 * - `admit`: the controller accepted its evidence (first join, or a rejoin with the same key)
 * - `connect`: its agent opened the stream
 * - `healthy` / `unhealthy`: the agent's report of sidecar and application together
 * - `drain`: somebody asked that it takes no new requests
 * - `vanish`: the controller has not heard from it in time
 * - `leave`: it is gone from the mesh, whether it said so, was removed, or its grace period ended
 */
export const events = ['admit', 'connect', 'healthy', 'unhealthy', 'drain', 'vanish', 'leave'] as const
export type LifecycleEvent = (typeof events)[number]

/**
 * What each event makes of each phase. An event that a phase does not list leaves the VM as it is: late,
 * repeated and reordered events are normal here, never errors.
 *
 * A VM that is draining cannot become ready again: its peers were told to stop, and a quick return would
 * race with them. It leaves, and joins anew.
 */
export const transitions = {
  announced: { admit: 'joining', leave: 'left' },
  joining: { connect: 'joined', drain: 'draining', vanish: 'lost', leave: 'left' },
  joined: { healthy: 'ready', unhealthy: 'unhealthy', drain: 'draining', vanish: 'lost', leave: 'left' },
  ready: { unhealthy: 'unhealthy', drain: 'draining', vanish: 'lost', leave: 'left' },
  unhealthy: { healthy: 'ready', drain: 'draining', vanish: 'lost', leave: 'left' },
  draining: { vanish: 'lost', leave: 'left' },
  lost: { healthy: 'ready', unhealthy: 'unhealthy', drain: 'draining', leave: 'left' },
  left: { admit: 'joining' },
} as const satisfies Record<Phase, Partial<Record<LifecycleEvent, Phase>>>

/** The phase after `event`; the same phase when the table does not list the event. */
export function next(phase: Phase, event: LifecycleEvent): Phase {
  const row: Partial<Record<LifecycleEvent, Phase>> = transitions[phase]
  return row[event] ?? phase
}

/** Whether peers may send new requests to a VM in this phase. Exactly one phase has an open endpoint. */
export function hasEndpoint(phase: Phase): boolean {
  return phase === 'ready'
}

/** Whether a VM in this phase owns a WorkloadEntry (open or closed). */
export function hasEntry(phase: Phase): boolean {
  return phase !== 'announced' && phase !== 'left'
}

/** The table as a Mermaid state diagram; ARCHITECTURE.md holds exactly this text, and a test compares them. */
export function lifecycleDiagram(): string {
  const lines = ['stateDiagram-v2', '  [*] --> announced', '  [*] --> joining: admit']
  for (const phase of phases) {
    const row: Partial<Record<LifecycleEvent, Phase>> = transitions[phase]
    for (const event of events) {
      const target = row[event]
      if (target !== undefined) lines.push(`  ${phase} --> ${target}: ${event}`)
    }
  }
  return lines.join('\n')
}
