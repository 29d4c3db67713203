/** What tells one machine from another; what is not known is absent. */
export interface MachineMark {
  /** A hash of the machine-id. */
  readonly machineId?: string
  /** cloud-init's instance-id. */
  readonly instanceId?: string
}

/** Whose state this is: this machine's, or which part of the mark says that it is another's. */
export type Belonging = 'own' | { readonly differs: string }

/**
 * Whether a state that was written on the machine `then` belongs to the machine `now`. A disk is cloned, put into another
 * instance, or part of an image that was not sealed: cloud-init and systemd notice that, and so does the agent. A part
 * that one side does not know says nothing.
 */
export function belongingOf(then: MachineMark | undefined, now: MachineMark): Belonging {
  if (then?.instanceId !== undefined && now.instanceId !== undefined && then.instanceId !== now.instanceId) {
    return { differs: `its instance-id is ${now.instanceId}, and was ${then.instanceId}` }
  }
  if (then?.machineId !== undefined && now.machineId !== undefined && then.machineId !== now.machineId) {
    return { differs: 'its machine-id is another' }
  }
  return 'own'
}

/** What is known of the machine by both. */
export function mergedMark(then: MachineMark | undefined, now: MachineMark): MachineMark {
  return { ...then, ...now }
}
