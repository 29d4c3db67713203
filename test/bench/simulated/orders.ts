import type { Health } from '../../../shared/api/stream.ts'

/** One simulated VM: its number in the crowd, and what an image would hold. */
export interface Member {
  readonly index: number
  /** Its own address, from which it connects. */
  readonly address: string
  readonly pool: string
  readonly token: string
}

/** What a worker is told, a JSON line each on its standard input; it ends when that does. */
export type Order =
  /** Makes keys, which costs a VM its own time and nobody else's. */
  | {
      readonly order: 'prepare'
      readonly url: string
      readonly ca: string
      readonly members: readonly Member[]
    }
  /** Everybody joins, so many at once; with `open` each opens its stream right after, as healthy. */
  | { readonly order: 'join'; readonly atOnce: number; readonly open: boolean }
  | { readonly order: 'status'; readonly index: number; readonly health: Health }
  | { readonly order: 'count' }

/** What a worker says, a JSON line each on its standard output. */
export type Saying =
  | { readonly said: 'prepared' }
  | { readonly said: 'progress'; readonly joined: number }
  | { readonly said: 'joined'; readonly joins: readonly JoinOutcome[] }
  /** `at` is of the monotonic clock, right before the message was sent. */
  | { readonly said: 'sent'; readonly index: number; readonly at: number }
  | { readonly said: 'counted'; readonly open: number; readonly cuts: number }

export interface JoinOutcome {
  readonly index: number
  /** From the first attempt to the last answer, the stream not included. */
  readonly ms: number
  /** How often it was told to come back later. */
  readonly deferred: number
  /** Empty when it failed. */
  readonly vm: string
  readonly failure?: string
}
