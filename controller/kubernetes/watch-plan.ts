/** How far a watch is. */
export interface WatchState {
  /** Where to go on; absent before the first list, and when the API server no longer knows it. */
  readonly resourceVersion: string | undefined
  /** Attempts since one that got anywhere. */
  readonly failures: number
}

/** What became of an attempt to list or watch. */
export type WatchOutcome =
  | { readonly was: 'listed'; readonly resourceVersion: string }
  /** The stream ended as it should, or fell silent; `heard` tells whether anything came over it. */
  | { readonly was: 'ended' | 'silent'; readonly resourceVersion: string; readonly heard: boolean }
  /** HTTP 410: the version is older than what the API server remembers. */
  | { readonly was: 'expired' }
  | { readonly was: 'failed'; readonly resourceVersion: string | undefined; readonly heard: boolean }

export interface WatchStep {
  readonly state: WatchState
  readonly do: 'list' | 'watch'
  /** Whether to pause first, growing with `state.failures`. */
  readonly pause: boolean
}

export const firstStep: WatchStep = {
  state: { resourceVersion: undefined, failures: 0 },
  do: 'list',
  pause: false,
}

/**
 * What to do next. A stream that brought something is resumed at once, so that nothing is late; one that brings
 * nothing is tried ever more slowly. Only a version that is too old costs a list, since 10,000 VMs are read then.
 */
export function nextStep({ failures }: WatchState, outcome: WatchOutcome): WatchStep {
  switch (outcome.was) {
    case 'listed':
      return { state: { resourceVersion: outcome.resourceVersion, failures }, do: 'watch', pause: false }
    case 'expired':
      return step(undefined, failures + 1, failures > 0)
    case 'ended':
    case 'silent':
    case 'failed': {
      const isFruitless = !outcome.heard
      return step(
        outcome.resourceVersion,
        isFruitless ? failures + 1 : 0,
        isFruitless || outcome.was === 'failed',
      )
    }
  }
}

function step(resourceVersion: string | undefined, failures: number, pause: boolean): WatchStep {
  return { state: { resourceVersion, failures }, do: resourceVersion === undefined ? 'list' : 'watch', pause }
}
