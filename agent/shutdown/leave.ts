import type { Bundle } from '../../shared/api/bundle.ts'
import type { AfterDrain, DrainReason } from '../../shared/api/stream.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { DownMessage, Stream } from '../client/stream.ts'
import { drainsAlone } from '../plan.ts'
import type { StatusBoard } from '../status.ts'
import type { Drain, DrainResult } from './drain.ts'

/** The controller's word that the endpoint is closed. */
export type DrainOrder = Extract<DownMessage, { kind: 'drain' }>

/** Why this VM drains, and what follows. */
export interface LeaveWish {
  readonly reason: DrainReason
  readonly after: AfterDrain
}

/** Takes this VM out of the mesh in the order in which no request is lost. */
export interface Leave {
  /** From the wish to the farewell: what the VM wants itself. */
  byWish(wish: LeaveWish): Promise<Left>
  /** From the order to the farewell: what the controller wants. */
  byOrder(order: DrainOrder): Promise<Left>
}

/** `held`: drained, and the sidecar still runs. */
export type Left = 'left' | 'held'

export interface LeaveDeps {
  readonly stream: Pick<Stream, 'send' | 'connected' | 'onMessage'>
  readonly drain: Drain
  readonly board: StatusBoard
  readonly clock: Clock
  readonly log: Log
  readonly joined: () => boolean
  /** The sidecar runs, so there may be requests. */
  readonly serving: () => boolean
  /** How the pool wants to be drained; undefined before the first bundle. */
  readonly settings: () => Bundle['drain'] | undefined
  /** Takes every step back and stores that this VM left; `untold` when the controller is to hear of it. */
  readonly undo: (reason: DrainReason, untold: boolean) => Promise<void>
  /** Stores that the controller heard of it. */
  readonly told: () => Promise<void>
  /** Aborted when nobody should be waited for any more. */
  readonly hurry: AbortSignal
}

const pollMs = 20
/** How long the controller has to answer `left` with `bye`. */
const byeMs = 5_000
const awayMs = 500
/** The wish is said again as often: the stream may have been opened anew meanwhile. */
const repeatMs = 1_000

export function createLeave(deps: LeaveDeps): Leave {
  const { stream, board, clock, log, hurry } = deps

  /** Resolves when `done` holds or waiting is pointless; never rejects. */
  async function until(done: () => boolean): Promise<void> {
    while (!done() && !hurry.aborted) await clock.sleep(pollMs, hurry).catch(() => {})
  }

  /** Says the wish until the controller has closed the endpoint; undefined when it does not come to that. */
  async function order(wish: LeaveWish): Promise<DrainOrder | undefined> {
    let heard: DrainOrder | undefined
    const forget = stream.onMessage((message) => {
      if (message.kind === 'drain') heard = message
    })
    const startedAt = clock.now()
    let saidAt: number | undefined
    await until(() => {
      const now = clock.now()
      if (stream.connected && (saidAt === undefined || now - saidAt >= repeatMs)) {
        stream.send({ kind: 'drain-request', ...wish })
        saidAt = now
      }
      const facts = { joined: deps.joined(), connected: stream.connected, waitedMs: now - startedAt }
      return heard !== undefined || drainsAlone(facts)
    })
    forget()
    if (heard === undefined && deps.joined()) {
      log.warn('the controller does not close the endpoint: this VM drains by itself', { ...wish })
    }
    return heard
  }

  async function drained(quietMs: number, deadlineMs: number): Promise<DrainResult> {
    const nothing: DrainResult = { result: 'quiet', openRequests: 0, openConnections: 0 }
    // An agent that was just started has not adopted its sidecar yet: Envoy itself is asked, for half a second.
    if (!deps.serving() && !deps.joined()) return nothing
    try {
      return await deps.drain.run({ quietMs, deadlineMs, signal: hurry })
    } catch (error) {
      log.warn('the drain was cut short', { error: errorText(error) })
      return { ...nothing, result: 'deadline' }
    }
  }

  async function carryOut(
    reason: DrainReason,
    after: AfterDrain,
    limits: { readonly quietMs: number; readonly deadlineMs: number },
  ): Promise<Left> {
    board.setStage('draining')
    board.set('Drained', 'False', 'Draining')
    const result = await drained(limits.quietMs, limits.deadlineMs)
    log.info('drained', { reason, ...result })
    if (result.result === 'quiet') board.set('Drained', 'True', 'Quiet')
    else {
      const open = `${result.openRequests} requests and ${result.openConnections} connections were still open`
      board.set('Drained', 'True', 'DRAIN_DEADLINE', open)
    }
    stream.send({ kind: 'drained', ...result })
    if (after === 'hold') {
      board.setStage('held')
      return 'held'
    }
    board.setStage('leaving')
    // Asked before the undoing, which stores that this VM left.
    const isKnown = deps.joined()
    await deps.undo(reason, isKnown)
    if (isKnown) await farewell()
    board.setStage('left')
    log.info('left the mesh', { reason })
    return 'left'
  }

  async function farewell(): Promise<void> {
    let heard = false
    const forget = stream.onMessage((message) => {
      if (message.kind === 'bye') heard = true
    })
    // One that was not there for the drain need not be waited for long.
    const deadline = clock.now() + (stream.connected ? byeMs : awayMs)
    let told = false
    await until(() => {
      told ||= stream.send({ kind: 'left' })
      return heard || clock.now() >= deadline || (told && !stream.connected)
    })
    forget()
    if (heard) await deps.told()
    else log.warn('the controller did not confirm that this VM left')
  }

  return {
    async byWish(wish) {
      board.setStage('draining')
      const heard = await order(wish)
      const settings = deps.settings()
      const limits = heard ?? {
        quietMs: (settings?.quietSeconds ?? 0) * 1000,
        deadlineMs: (settings?.deadlineSeconds ?? 0) * 1000,
      }
      return carryOut(wish.reason, wish.after, limits)
    },
    byOrder: (heard) => carryOut(heard.reason, heard.after, heard),
  }
}
