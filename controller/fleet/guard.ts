/** What is seen when a VM is about to be called lost. */
export interface Census {
  /** VMs that are expected to speak and serve or could serve. */
  readonly total: number
  /** Those of them that are silent, or were called lost a moment ago. */
  readonly silent: number
}

/** Whether closing is held; `calmSince`: since when the loss is small again. */
export type Guard =
  | { readonly holding: false }
  | { readonly holding: true; readonly since: number; readonly calmSince?: number }

/**
 * Whether so many vanished at once that it is more likely the controller's own network than the VMs'.
 *
 * @remarks A fleet of three VMs or fewer is never held: with so few, losing all is an ordinary event.
 */
export function isMassLoss(census: Census): boolean {
  return census.silent > Math.max(3, 0.3 * census.total)
}

/**
 * The guard after a look at the fleet. It begins to hold at once, and stops only after `calmMs` without a mass
 * loss: VMs come back one by one, and the last ones must get the same time as the first. `census` is what this
 * replica hears itself, `whole` counts what the others wrote, too.
 */
export function nextGuard(
  guard: Guard,
  census: Census,
  now: number,
  calmMs: number,
  whole: Census = census,
): Guard {
  const since = guard.holding ? guard.since : now
  if (isMassLoss(whole)) return { holding: true, since }
  // Of this replica's part alone it more likely is its own network: the VMs have time to come to another replica.
  if (isMassLoss(census)) return now - since < calmMs ? { holding: true, since } : { holding: false }
  if (!guard.holding) return guard
  const calmSince = guard.calmSince ?? now
  if (now - calmSince >= calmMs) return { holding: false }
  return { holding: true, since: guard.since, calmSince }
}

/**
 * Silence from which a VM counts as vanished in a census. When a power cut takes many, the first is called
 * lost when the last has been silent for `lostAfterMs - heartbeatMs`; a living one is silent for one heartbeat
 * at most. The middle tells them apart without waiting any longer.
 */
export function suspectAfterMs(timing: {
  readonly heartbeatMs: number
  readonly lostAfterMs: number
}): number {
  return Math.max(timing.lostAfterMs / 2, 1.25 * timing.heartbeatMs)
}
