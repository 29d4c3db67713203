import type { DrainReason } from '../shared/api/stream.ts'
import type { Clock } from '../shared/clock.ts'
import { errorText, isMooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { DownMessage, Stream } from './client/stream.ts'
import type { Converge } from './converge.ts'
import type { ControllerTime } from './host/clock-skew.ts'
import type { Renewals } from './renewals.ts'
import type { DrainOrder, Leave, LeaveWish, Left } from './shutdown/leave.ts'
import type { StatusBoard } from './status.ts'

/** How a life in the mesh ended. `again`: an interrupted shutdown was finished, and the VM is wanted back. */
export type LifeEnd = 'left' | 'again' | 'revoked'

/** One life in the mesh: from the first step until this VM has left. */
export interface Life {
  /** `stop` asks it to leave and aborts once. */
  run(stop: AbortSignal): Promise<LifeEnd>
  /** What somebody on the VM wants; resolves when it is done. */
  wish(wish: LeaveWish): Promise<Left>
}

export interface LifeDeps {
  readonly converge: Converge
  readonly renewals: Renewals
  readonly stream: Stream
  readonly leave: Leave
  readonly board: StatusBoard
  readonly time: ControllerTime
  readonly clock: Clock
  readonly log: Log
  /** Resolves when this VM has an identity, and the stream can be opened. */
  readonly joined: Promise<void>
  /** Takes everything back and stores that the key is of no use any more. */
  readonly revoke: () => Promise<void>
  /** Stores that the controller knows this VM no more, so that it joins anew. */
  readonly expelled: () => Promise<void>
  /** Called with every welcome. */
  readonly welcomed: () => void
}

type Turn =
  | { readonly kind: 'wish'; readonly wish: LeaveWish; readonly done: (left: Left) => void }
  | { readonly kind: 'order'; readonly order: DrainOrder }
  | { readonly kind: 'gone' }
  | { readonly kind: 'revoked' }

export function createLife(deps: LifeDeps): Life {
  const { converge, renewals, stream, leave, board, time, clock, log } = deps
  const turns: Turn[] = []
  let arrived = Promise.withResolvers<void>()

  const push = (turn: Turn) => {
    turns.push(turn)
    arrived.resolve()
  }

  const next = async (): Promise<Turn> => {
    for (;;) {
      const turn = turns.shift()
      if (turn !== undefined) return turn
      arrived = Promise.withResolvers()
      await arrived.promise
    }
  }

  const take = (message: DownMessage) => {
    switch (message.kind) {
      case 'welcome': {
        const now = clock.now()
        time.observe({ theirs: message.now, sentAt: now - 1_000, receivedAt: now })
        renewals.announce(message.bundleRevision)
        deps.welcomed()
        return
      }
      case 'refresh':
        return renewals.announce(message.bundleRevision)
      case 'drain':
        return push({ kind: 'order', order: message })
      case 'bye':
        return push({ kind: message.revoked ? 'revoked' : 'gone' })
    }
  }

  /** Follows wishes and orders until one of them ends this life; `stopWork` leaves the machine as it is. */
  async function follow(stopWork: () => Promise<void>): Promise<LifeEnd> {
    let wished = false
    let held = false
    for (;;) {
      const turn = await next()
      if (turn.kind === 'revoked') {
        await stopWork()
        await deps.revoke()
        return 'revoked'
      }
      // The entry is gone although nobody here asked for it: the controller gave this VM up for lost.
      if (turn.kind === 'gone') {
        await stopWork()
        await deps.expelled()
        return 'again'
      }
      const { after } = turn.kind === 'wish' ? turn.wish : turn.order
      // The order is repeated after every welcome.
      if (held && after === 'hold') {
        if (turn.kind === 'wish') turn.done('held')
        continue
      }
      await stopWork()
      const left = turn.kind === 'wish' ? await leave.byWish(turn.wish) : await leave.byOrder(turn.order)
      if (turn.kind === 'wish') {
        wished = true
        turn.done(left)
      }
      if (left === 'held') {
        held = true
        continue
      }
      return endOf(turn.kind === 'order' && !wished ? turn.order.reason : undefined)
    }
  }

  return {
    wish: (wish) => new Promise((done) => push({ kind: 'wish', wish, done })),
    async run(stop) {
      const mayWork = new AbortController()
      const mayTalk = new AbortController()
      let isSaid = true
      const say = () => {
        isSaid = stream.send({ kind: 'status', status: board.report() })
      }
      const tell = board.onChange(say)
      const forget = stream.onMessage((message) => {
        // What changed between the hello and its welcome is in neither.
        if (message.kind === 'welcome' && !isSaid) say()
        take(message)
      })
      const onStop = () => push({ kind: 'wish', wish: { reason: 'shutdown', after: 'leave' }, done() {} })
      const ended = (what: string) => (error: unknown) => {
        if (isMooringError(error, 'KEY_REVOKED')) push({ kind: 'revoked' })
        else if (!mayWork.signal.aborted)
          log.error('a part of the agent ended', { what, error: errorText(error) })
      }
      const working = [
        converge.run(mayWork.signal).catch(ended('convergence')),
        // There is nothing to renew before, and stopping must not wait for a join that may never come.
        Promise.race([deps.joined, aborted(mayWork.signal)])
          .then(() => renewals.run(mayWork.signal))
          .catch(ended('renewals')),
      ]
      deps.joined
        .then(() => stream.run(mayTalk.signal))
        .then((end) => end === 'revoked' && push({ kind: 'revoked' }))
        .catch(ended('stream'))
      if (stop.aborted) onStop()
      else stop.addEventListener('abort', onStop, { once: true })
      const stopWork = async () => {
        mayWork.abort()
        await Promise.all(working)
      }
      try {
        return await follow(stopWork)
      } finally {
        stop.removeEventListener('abort', onStop)
        // Nobody is left to carry these out.
        for (const turn of turns.splice(0)) if (turn.kind === 'wish') turn.done('left')
        mayTalk.abort()
        tell()
        forget()
        await stopWork()
      }
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A shutdown that an earlier process began and this one finished: the machine runs, so it is wanted. */
function endOf(reason: DrainReason | undefined): LifeEnd {
  return reason === 'shutdown' ? 'again' : 'left'
}
