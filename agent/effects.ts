import { createEffects as createPassage, type Effects as Passage } from '../shared/effects.ts'

/**
 * Everything the agent does that outlives it, by name. Each one may be the last thing this process does: the
 * next start adopts what it finds and goes on. Tests kill the agent after each of them, and take the list
 * from here.
 */
export const effectNames = [
  // --- joining, in this order
  /** The private key is on disk; no request has left the VM yet. */
  'key-stored',
  /** The controller's answer to a join or a renewal is on disk. */
  'identity-stored',

  // --- convergence, in this order
  /** The sidecar's archive is on disk, its digest checked. */
  'artifact-downloaded',
  /** Its version has a folder of its own, complete. */
  'artifact-installed',
  /** Token, root certificate and configuration of the sidecar are written. */
  'files-written',
  /** pilot-agent runs. */
  'sidecar-started',
  /** The traffic rules are in the kernel. */
  'capture-applied',

  // --- while it runs
  /** A newer bundle is on disk. */
  'bundle-stored',

  // --- leaving, in this order
  /** Envoy was told to drain. */
  'drain-started',
  /** pilot-agent and Envoy are gone. */
  'sidecar-stopped',
  /** The traffic rules are gone. */
  'capture-undone',
  /** The state says that this VM left. */
  'departure-stored',
  /** The state says that the controller knows it. */
  'farewell-stored',
] as const
export type EffectName = (typeof effectNames)[number]

/** Passage of the agent's effects. */
export type Effects = Passage<EffectName>
export const createEffects = createPassage<EffectName>
