import type { Member } from '../../world/member.ts'

/** One of the two ways into the mesh. */
export interface Side {
  readonly name: 'istio' | 'mooring'
  /** Under which peers call its VMs. */
  readonly host: string
  /** Lays the files of this way into a VM whose application runs; nothing is started. */
  prepare(member: Member): Promise<Entrant>
}

/** A VM that is about to enter the mesh, and to be gone from it again. */
export interface Entrant {
  /** Starts what the VM's boot would start; returns at once. */
  start(): Promise<void>
  /** SIGTERM to what was started, as a shutdown does; returns when it has ended. */
  shutDown(): Promise<void>
  /** What a crash of the sidecar leaves. */
  killSidecar(): Promise<void>
  /** Takes away what of it is left in the mesh, and returns when nothing is. */
  forget(): Promise<void>
}
