import { connect, type Socket } from 'node:net'
import {
  asLoadFailure,
  type LoadAttempt,
  type LoadCaller,
  LoadFailure,
  type LoadTarget,
} from './load-caller.ts'

/** A connection with what is waited for on it. */
interface Line {
  readonly socket: Socket
  readonly openedAt: number
  answeredBefore: boolean
  /** Whether this side ended it, so that its end is no failure. */
  ended: boolean
  pending: { resolve: (line: string) => void; reject: (failure: LoadFailure) => void } | undefined
}

export interface TcpCallerDeps {
  readonly target: LoadTarget
  /** A connection is used for so long and then replaced. */
  readonly reopenMs: number
  readonly now: () => number
  /** The other side ended a connection between two lines: no request was open, but a connection was lost. */
  readonly onLost: (failure: LoadFailure, openedAt: number) => void
}

/** Lines that must come back, over one raw TCP connection at a time. */
export function createTcpCaller(deps: TcpCallerDeps): LoadCaller {
  let current: Line | undefined
  let counter = 0

  function open(): Line {
    const socket = connect(deps.target.port, deps.target.host)
    const line: Line = {
      socket,
      openedAt: deps.now(),
      answeredBefore: false,
      ended: false,
      pending: undefined,
    }
    let partial = ''
    socket.setNoDelay(true)
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n')
      partial = lines.pop() ?? ''
      for (const each of lines) settle(line)?.resolve(each)
    })
    socket.on('error', (error) => lost(line, asLoadFailure(error)))
    socket.once('close', () => lost(line, new LoadFailure('CLOSED', 'the other side ended the connection')))
    return line
  }

  function settle(line: Line) {
    const { pending } = line
    line.pending = undefined
    return pending
  }

  function lost(line: Line, failure: LoadFailure): void {
    if (current === line) current = undefined
    if (line.ended) return
    line.ended = true
    const pending = settle(line)
    if (pending !== undefined) pending.reject(failure)
    else deps.onLost(failure, line.openedAt)
  }

  function end(line: Line | undefined): void {
    if (line === undefined) return
    line.ended = true
    line.socket.end()
  }

  async function call(attempt: LoadAttempt): Promise<void> {
    if (current !== undefined && deps.now() - current.openedAt >= deps.reopenMs) {
      end(current)
      current = undefined
    }
    current ??= open()
    const line = current
    const question = `line ${++counter}`
    const giveUp = () => line.socket.destroy(asLoadFailure(attempt.signal.reason))
    attempt.signal.addEventListener('abort', giveUp, { once: true })
    try {
      const answer = await new Promise<string>((resolve, reject) => {
        line.pending = { resolve, reject }
        line.socket.write(`${question}\n`)
      })
      const instance = answer.slice(0, answer.indexOf(' '))
      if (answer !== `${instance} ${question}`) throw new LoadFailure('BAD_ECHO', answer.slice(0, 200))
      attempt.answered(instance, !line.answeredBefore)
      line.answeredBefore = true
    } finally {
      attempt.signal.removeEventListener('abort', giveUp)
    }
  }

  return { call, close: () => end(current) }
}
