import { connect } from 'node:net'
import { createAnswerReader, type HttpFault, type HttpReply } from './http-answer.ts'

/** One question to a server on this machine. */
export interface PlainRequest {
  readonly host: string
  readonly port: number
  /** @defaultValue GET */
  readonly method?: 'GET' | 'POST'
  /** With the query, as it stands in the request's first line. */
  readonly path: string
  /** As many bytes of the answer are kept; the connection is closed when there are more. */
  readonly maxBody: number
  /** Ends it; nothing else limits its time. */
  readonly signal: AbortSignal
}

/**
 * One HTTP/1.1 exchange on a connection of its own. The application is asked every second for as long as the
 * agent lives, so this goes without node:http, which costs twice the processor time and 1 MB; and without
 * `fetch`, which heeds proxy variables and keeps connections. Rejects with the error of the connection, or with
 * the signal's reason.
 */
export function askPlain(request: PlainRequest): Promise<HttpReply | HttpFault> {
  const { host, port, path, signal } = request
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    // Whoever wrote the path must not write the rest of the request as well.
    if (!/^\/[\x21-\x7e]*$/.test(path))
      return resolve({ fault: `${JSON.stringify(path)} is no path of HTTP` })
    const reader = createAnswerReader(request.maxBody)
    const socket = connect({ host, port })
    let isDone = false
    const done = () => {
      isDone = true
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
    }
    const fail = (error: unknown) => {
      if (isDone) return
      done()
      reject(error)
    }
    const take = (reply: HttpReply | HttpFault | undefined) => {
      if (isDone || reply === undefined) return
      done()
      resolve(reply)
    }
    const onAbort = () => fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('data', (part: Buffer) => take(reader.push(part)))
    socket.once('close', () => !isDone && take(reader.end()))
    socket.on('error', fail)
    socket.write(requestText(request))
  })
}

function requestText({ host, port, method = 'GET', path }: PlainRequest): string {
  const name = host.includes(':') ? `[${host}]` : host
  const length = method === 'POST' ? 'content-length: 0\r\n' : ''
  return `${method} ${path} HTTP/1.1\r\nhost: ${name}:${port}\r\nuser-agent: mooring-agent\r\n${length}connection: close\r\n\r\n`
}
