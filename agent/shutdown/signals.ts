/** The part of `process` that tells of signals. */
export interface SignalSource {
  on(name: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
  off(name: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

export interface StopSignals {
  /** The first signal: leave the mesh, then end. */
  readonly stop: AbortSignal
  /** The second: do not wait for anybody any more, but leave nothing behind. */
  readonly hurry: AbortSignal
  close(): void
}

const names = ['SIGTERM', 'SIGINT'] as const

/** Counts the signals that ask this process to end. */
export function watchSignals(source: SignalSource): StopSignals {
  const stop = new AbortController()
  const hurry = new AbortController()
  const listener = () => (stop.signal.aborted ? hurry : stop).abort()
  for (const name of names) source.on(name, listener)
  return {
    stop: stop.signal,
    hurry: hurry.signal,
    close() {
      for (const name of names) source.off(name, listener)
    },
  }
}
