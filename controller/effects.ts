import { createEffects as createPassage, type Effects as Passage } from '../shared/effects.ts'

/**
 * Everything the controller does to the world on a VM's behalf, by name. Each one may be the last thing this
 * process does: whatever comes after it must be made up for by the next start. Tests kill the controller
 * after each of them, and take the list from here.
 */
export const effectNames = [
  // --- a join, in this order
  /** Use of the token and the VM's record are committed. */
  'admission-committed',
  /** The WorkloadEntry of a VM that lost this address is gone. */
  'stale-entry-removed',
  /** A WorkloadEntry is written, open or closed as its VM's phase says. */
  'entry-applied',
  /** A workload token is minted. */
  'token-minted',
  /** An agent certificate is signed. */
  'certificate-signed',

  // --- the life of a VM
  /** A VM's record is written by the reconciler. */
  'vm-written',
  /** An endpoint was open and is written as closed. */
  'entry-closed',
  /** A WorkloadEntry is deleted. */
  'entry-removed',
  /** A `drain` command went into a stream. */
  'drain-sent',
  /** A removed VM's address is denied to its peers. */
  'eviction-applied',
  /** That denial is taken back. */
  'eviction-lifted',

  // --- a pool
  /** ServiceEntry, Sidecar and the like of a pool are written. */
  'pool-objects-applied',
  /** They are deleted. */
  'pool-objects-removed',
] as const
export type EffectName = (typeof effectNames)[number]

/** Passage of the controller's effects. */
export type Effects = Passage<EffectName>
export const createEffects = createPassage<EffectName>

/** Whether `name` is an effect of this controller. */
export function isEffectName(name: string): name is EffectName {
  return (effectNames as readonly string[]).includes(name)
}
