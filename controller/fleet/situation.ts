import type { IstioObject, ObjectRef } from '../mesh/mesh.ts'
import type { PoolRecord, VmRecord } from '../store/records.ts'
import type { Hearing } from './liveness.ts'
import type { SessionFacts } from './session.ts'
import type { Terms } from './terms.ts'

/** What the mesh holds under a name; `unknown` after a write that failed, which may have taken effect. */
export type Held = IstioObject | 'unknown' | undefined

/** All that a decision about one VM is made from: gathered by `reconcile`, judged by `plan`. */
export interface Situation {
  readonly vm: string
  readonly record: VmRecord
  /** Absent when its pool was deleted. */
  readonly pool: PoolRecord | undefined
  readonly terms: Terms
  /** Name of the Istio network of its address; empty where there is only one. */
  readonly network: string
  /** What is written under the reference of its WorkloadEntry. */
  readonly entry: Held
  /** What is written under the reference of its eviction policy. */
  readonly eviction: Held
  /** Entries under its name elsewhere: its pool moved to another namespace. */
  readonly strays: readonly ObjectRef[]
  /** The VM that its address belongs to: of those admitted at it and still here, the newest. */
  readonly addressOwner: string
  /** Written entries of other VMs at its address. */
  readonly rivals: readonly ObjectRef[]
  /** Written eviction policies of other VMs for its address. */
  readonly foreignEvictions: readonly ObjectRef[]
  /** How many other VMs of its service peers may send requests to. */
  readonly otherEndpoints: number
  readonly session: SessionFacts | undefined
  readonly hearing: Hearing
  /** The revision of the bundle that it should have. */
  readonly revision: string
  /** `trustDigest` of the roots in that bundle. */
  readonly trust: string
  /** Name of this controller. */
  readonly instance: string
  readonly now: number
}
