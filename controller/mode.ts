import type { PoolCondition } from '../shared/api/operator.ts'
import type { ReadinessPart } from './api/health.ts'
import type { PoolRules } from './api/pool-rules.ts'
import type { AuditSink } from './audit.ts'
import type { Reviews } from './auth/kubernetes/reviews.ts'
import type { Fleet } from './fleet/fleet.ts'
import type { Replicas } from './fleet/replicas.ts'
import type { Mesh } from './mesh/mesh.ts'
import type { AuthorityKeep } from './pki/authority-keep.ts'
import type { ResourceStore } from './store/resource-store.ts'

/** What depends on whose mesh it is: where resources are kept, and who takes in what is written. */
export interface Mode {
  /** Resources as they were written. */
  readonly store: ResourceStore
  /** The same, but pools as they are in force; for the fleet, and for joins. */
  readonly inForce: ResourceStore
  readonly mesh: Mesh
  /** Where audit records are kept. */
  readonly auditSink: AuditSink
  /** Where the controller's own authority is. */
  readonly authority: AuthorityKeep
  /** More DNS names under which the controller is reached. */
  readonly serviceNames: readonly string[]
  /** Of the cluster, about operators who come with its tokens; absent where none do. */
  readonly reviews?: Reviews
  readonly poolRules: PoolRules
  /** What the cluster says of a pool; absent where there is none. */
  readonly poolConditions?: (name: string) => readonly PoolCondition[]
  readonly replicas: Replicas
  /** Signs challenges; replicas have it in common, since a joiner's next request may come to another one. */
  readonly challengeKey: Uint8Array
  /** First part of every identity; fixed while the controller runs. */
  readonly trustDomain: string
  /** Name of the network of the pools that name none. */
  network(): string
  /** For `/readyz`. */
  readiness(): readonly ReadinessPart[]
  /** Resolves when the mesh is known well enough for the fleet to begin. */
  prepare(fleet: Fleet, signal: AbortSignal): Promise<void>
  /** Runs beside everything else; what it throws is the controller's end. */
  serve(signal: AbortSignal): Promise<void>
  /** Until aborted: runs `work` while this replica leads. When it resolves, another one may lead already. */
  lead(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
