/** An authority as it is kept: each text as `pairText` writes it. `before`: the one that a rotation replaced. */
export interface KeptAuthority {
  readonly current: string
  readonly before?: string
}

/** What was read, and the version that a write over it names. */
export interface KeptVersion extends KeptAuthority {
  readonly version: string
}

/** Where the controller's authority is kept. Two ship: a folder, and a Secret that several replicas share. */
export interface AuthorityKeep {
  /** For people. */
  readonly place: string
  /** Undefined when there is none yet. */
  read(signal?: AbortSignal): Promise<KeptVersion | undefined>
  /**
   * Replaces what had the version; without one, nothing may be there yet. Throws `CONFLICT` when somebody else was
   * faster. Cut short, it leaves the old authority in force.
   */
  write(next: KeptAuthority, over: string | undefined, signal?: AbortSignal): Promise<void>
  /**
   * Tells of every change until aborted, and of nothing that is as it was read; undefined: it is gone. A folder belongs
   * to one process, which reads it at its start.
   */
  follow(changed: (kept: KeptAuthority | undefined) => void, signal: AbortSignal): Promise<void>
}
