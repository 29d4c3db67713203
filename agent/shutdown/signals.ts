import type { StopIntent } from '../host/stop-intent.ts'

/** The part of `process` that tells of signals. */
export interface SignalSource {
  on(name: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
  off(name: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

export interface StopSignals {
  /** The first signal: leave the mesh, then end. */
  readonly stop: AbortSignal
  /** The first signal, when another agent follows at once: end, and leave everything as it is. */
  readonly aside: AbortSignal
  /** The second: do not wait for anybody any more, but leave nothing behind. */
  readonly hurry: AbortSignal
  close(): void
}

const names = ['SIGTERM', 'SIGINT'] as const

/** Counts the signals that ask this process to end. `intent` finds out what the first one is meant for. */
export function watchSignals(source: SignalSource, intent?: () => Promise<StopIntent>): StopSignals {
  const stop = new AbortController()
  const aside = new AbortController()
  const hurry = new AbortController()
  let isAsked = false
  const listener = () => {
    if (isAsked) return hurry.abort()
    isAsked = true
    if (intent === undefined) return stop.abort()
    intent().then(
      (meant) => (meant === 'aside' ? aside : stop).abort(),
      () => stop.abort(),
    )
  }
  for (const name of names) source.on(name, listener)
  return {
    stop: stop.signal,
    aside: aside.signal,
    hurry: hurry.signal,
    close() {
      for (const name of names) source.off(name, listener)
    },
  }
}
