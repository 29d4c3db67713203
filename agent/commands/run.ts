import type { DrainReason } from '../../shared/api/stream.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { LocalRequest } from '../host/socket.ts'
import type { Life } from '../life.ts'
import type { Farewell } from '../shutdown/farewell.ts'
import type { Left } from '../shutdown/leave.ts'
import type { StateStore } from '../state.ts'
import type { Stage, StatusBoard } from '../status.ts'
import type { StatusView } from './status.ts'

export interface RunDeps {
  /** A life for as long as this VM is wanted in the mesh. */
  readonly createLife: () => Life
  /** What the last life could not say. */
  readonly farewell: Farewell
  /** Stores that the controller knows of the leave, or that it does not take this key any more. */
  readonly settle: (end: 'told' | 'revoked') => Promise<void>
  readonly store: StateStore
  readonly board: StatusBoard
  readonly view: () => StatusView
  readonly clock: Clock
  readonly log: Log
  /** Aborts when this process is to end. */
  readonly stop: AbortSignal
  readonly random?: () => number
}

/** The agent: lives in the mesh one after the other, and the idle time between them. */
export interface RunningAgent {
  /** Resolves when the process may end. */
  run(): Promise<void>
  /** Instead of `run`: one life that only leaves, for a VM whose agent has died. */
  leave(reason: DrainReason): Promise<Left>
  /** What the command line asks of it. */
  answer(request: LocalRequest): Promise<unknown>
}

/** A VM that comes back by itself waits up to this long: a whole fleet may have been given up at once. */
const returnMs = 1_000
/** Stages from which no life comes back. */
const ends: readonly Stage[] = ['leaving', 'left']

export function createRunningAgent(deps: RunDeps): RunningAgent {
  const { store, board, clock, log, stop, random = Math.random } = deps
  let life: Life | undefined
  /** Somebody wants this life to end. */
  let isLeaving = false
  /** Resolved by a wish for another life after this one. */
  let comeBack = Promise.withResolvers<void>()

  const stopped = new Promise<void>((resolve) => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })

  /** Tells the controller of a leave of which it does not know; true when it does not take this key any more. */
  async function tell(patient: boolean, signal: AbortSignal): Promise<boolean> {
    if (store.current()?.left?.untold !== true) return false
    const end = await deps.farewell.run({ patient, signal })
    if (end !== 'told' && end !== 'revoked') return false
    await deps.settle(end)
    return end === 'revoked'
  }

  async function idle(): Promise<void> {
    const over = new AbortController()
    const telling = tell(true, AbortSignal.any([stop, over.signal]))
    const revoked = telling.then((isRevoked) => (isRevoked ? undefined : stopped))
    await Promise.race([comeBack.promise, stopped, revoked])
    over.abort()
    await telling
  }

  return {
    async run() {
      while (!stop.aborted) {
        if (store.current()?.revoked !== undefined) {
          board.setStage('revoked')
          log.error('the controller does not accept the key of this VM any more')
          await stopped
          return
        }
        board.setStage('joining')
        // First the end of the last life: the controller may be waiting for it, and would drain the next one.
        if (await tell(false, stop)) continue
        if (stop.aborted) return
        isLeaving = false
        comeBack = Promise.withResolvers()
        life = deps.createLife()
        const end = await life.run(stop)
        life = undefined
        if (end === 'again') await clock.sleep(Math.round(random() * returnMs), stop).catch(() => {})
        else if (end === 'left' && !stop.aborted) await idle()
      }
    },
    async leave(reason) {
      const { identity, left } = store.current() ?? {}
      if (identity === undefined || left !== undefined) {
        await tell(false, stop)
        return 'left'
      }
      life = deps.createLife()
      const gone = life.wish({ reason, after: 'leave' })
      await life.run(stop)
      life = undefined
      return gone
    },
    async answer({ kind, reason = 'operator' }) {
      switch (kind) {
        case 'status':
          return deps.view()
        case 'drain':
        case 'leave':
          if (life === undefined) return { result: 'left' }
          isLeaving ||= kind === 'leave'
          return {
            result: await life.wish({ reason, after: kind === 'drain' ? 'hold' : 'leave' }),
          }
        case 'join': {
          if (store.current()?.revoked !== undefined) throw new MooringError('KEY_REVOKED')
          // A life that goes on is what was asked for; one that ends is not, from the wish to its very last act.
          if (life === undefined || isLeaving || ends.includes(board.stage)) comeBack.resolve()
          return { vm: store.current()?.identity?.vm }
        }
      }
    },
  }
}
