/** What to run as the sidecar. Two specs with one `hash` are the same: the running process is kept. */
export interface SidecarSpec {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly uid: number
  readonly gid: number
  readonly hash: string
}

export interface SidecarState {
  readonly running: boolean
  readonly pid?: number
  /** Of the specification with which the one that runs was started. */
  readonly hash?: string
  /** What the one that runs was started from; unknown of one that an older agent wrote down. */
  readonly program?: string
  /** Unix milliseconds. */
  readonly startedAt?: number
  /** Starts after the first, since the agent started. */
  readonly restarts: number
  readonly lastExit?: {
    readonly at: number
    readonly code: number | null
    readonly signal: string | null
    readonly tail: readonly string[]
  }
  /** It failed so often in a row that nobody should wait for it; starting goes on, with long pauses. */
  readonly downForGood: boolean
}

export interface EnsureOptions {
  /** One that runs with another specification stays as it is; should it end, the one that is wanted follows it. */
  readonly keepOther?: boolean
}

/** Runs the sidecar and keeps it running. Two ship: `process` (child of the agent) and `systemd` (own unit). */
export interface Supervisor {
  /** Starts it, adopts one that runs with the same spec, replaces one with another. Resolves when started. */
  ensure(spec: SidecarSpec, signal: AbortSignal, options?: EnsureOptions): Promise<void>
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when it is gone, Envoy too. */
  stop(graceMs: number, signal: AbortSignal): Promise<void>
  state(): SidecarState
  onChange(listener: (state: SidecarState) => void): () => void
}
