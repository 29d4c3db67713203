import { Value } from 'typebox/value'
import { WebSocket } from 'ws'
import { Problem } from '../../shared/api/join.ts'
import { limits } from '../../shared/api/wire.ts'
import { isErrorCode, MooringError } from '../../shared/errors.ts'
import type { Credentials } from './request.ts'
import { connectionError } from './tls-error.ts'

/** One WebSocket, as little of it as the stream needs. */
export interface Socket {
  send(text: string): void
  /** Asks the other end for a sign of life; `onPong` hears it. */
  ping(): void
  /** Ends the connection without waiting for the other end. */
  terminate(): void
}

export interface SocketEvents {
  open(): void
  message(text: string): void
  pong(): void
  /** Comes once and last; `error` says why it could not be opened. */
  closed(code: number, error: MooringError | undefined): void
}

export interface SocketOptions {
  readonly url: URL
  /** PEM: the only authorities that count. */
  readonly ca: string
  readonly credentials: Credentials
  readonly handshakeMs: number
  /** This VM's clock, for the words of an error. */
  readonly now: () => number
}

/** Opens a WebSocket with a client certificate. */
export type OpenSocket = (options: SocketOptions, events: SocketEvents) => Socket

/** WebSockets by the package `ws`; a compiled executable has Bun's own under that name. */
export const openSocket: OpenSocket = ({ url, ca, credentials, handshakeMs, now }, events) => {
  const socket = new WebSocket(url, {
    ca,
    key: credentials.key,
    cert: credentials.certificate,
    minVersion: 'TLSv1.2',
    handshakeTimeout: handshakeMs,
    maxPayload: limits.streamMessage,
    perMessageDeflate: false,
    followRedirects: false,
  })
  let failure: MooringError | undefined
  let isOver = false
  const finish = (code: number) => {
    if (isOver) return
    isOver = true
    events.closed(code, failure)
  }
  socket.on('open', () => events.open())
  socket.on('message', (data) => events.message(String(data)))
  socket.on('pong', () => events.pong())
  socket.on('error', (error) => {
    failure ??= connectionError(error, url.host, now())
  })
  socket.on('unexpected-response', (_request, response) => {
    const parts: Buffer[] = []
    let length = 0
    const refused = () => {
      failure ??= refusal(response.statusCode ?? 0, Buffer.concat(parts).toString('utf8'))
      socket.terminate()
      finish(1006)
    }
    response.on('data', (part: Buffer) => {
      length += part.length
      if (length <= limits.streamMessage) parts.push(part)
    })
    response.once('end', refused)
    response.once('error', refused)
    response.once('close', refused)
  })
  socket.on('close', finish)
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    ping() {
      if (socket.readyState === WebSocket.OPEN) socket.ping()
    },
    terminate: () => socket.terminate(),
  }
}

/** What an answer that is no switch to WebSocket means. */
function refusal(status: number, body: string): MooringError {
  const detail = `the controller answered ${status} to the stream`
  try {
    const value: unknown = JSON.parse(body)
    if (Value.Check(Problem, value) && isErrorCode(value.code)) {
      return new MooringError(value.code, { detail: value.detail ?? detail })
    }
  } catch {
    // Not a problem document: the status alone has to do.
  }
  if (status === 401) return new MooringError('UNAUTHENTICATED', { detail })
  return new MooringError('CONTROLLER_UNREACHABLE', { detail })
}
