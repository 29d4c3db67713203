import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { ticksPath } from './app-http2.ts'
import { createFrameReader, encodeFrame } from './grpc-frames.ts'
import {
  asLoadFailure,
  type LoadAttempt,
  type LoadCaller,
  LoadFailure,
  type LoadTarget,
} from './load-caller.ts'

/** Plain requests over one HTTP/2 connection without TLS. */
export function createHttp2Caller(target: LoadTarget): LoadCaller {
  const session = keptSession(target)
  return {
    async call(attempt) {
      const headers = { ':method': 'GET', ':path': target.path, ':authority': target.authority }
      const answer = await exchange(session.open(headers), attempt)
      if (answer.status < 200 || answer.status >= 300)
        throw new LoadFailure(
          `HTTP_${answer.status}`,
          answer.body.subarray(0, 200).toString(),
          answer.instance,
        )
    },
    close: session.close,
  }
}

/** gRPC server streams over one HTTP/2 connection: a message every 50 ms for `streamMs`, then the status. */
export function createGrpcCaller(target: LoadTarget, streamMs: number): LoadCaller {
  const session = keptSession(target)
  const headers = {
    ':method': 'POST',
    ':path': ticksPath,
    ':authority': target.authority,
    'content-type': 'application/grpc',
    te: 'trailers',
  }
  return {
    async call(attempt) {
      const message = encodeFrame(Buffer.from(JSON.stringify({ ms: streamMs })))
      const answer = await exchange(session.open(headers), attempt, message)
      if (answer.status !== 200)
        throw new LoadFailure(
          `HTTP_${answer.status}`,
          answer.body.subarray(0, 200).toString(),
          answer.instance,
        )
      if (answer.grpcStatus !== '0')
        throw new LoadFailure(`GRPC_${answer.grpcStatus ?? 'NONE'}`, answer.grpcMessage, answer.instance)
      const reader = createFrameReader()
      const messages = reader.push(answer.body).length
      if (messages === 0 || reader.pending > 0)
        throw new LoadFailure(
          'TRUNCATED',
          `${messages} messages and ${reader.pending} bytes`,
          answer.instance,
        )
    },
    close: session.close,
  }
}

// A session is used until the other side says that it goes (GOAWAY); streams that are open then run to their end.
function keptSession(target: LoadTarget) {
  let session: ClientHttp2Session | undefined
  return {
    open(headers: OutgoingHttpHeaders): ClientHttp2Stream {
      if (session === undefined || session.closed || session.destroyed) {
        const fresh = connect(
          `http://${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`,
        )
        // Its streams fail with it, and they are what is counted.
        fresh.on('error', () => {})
        fresh.once('goaway', () => {
          if (session === fresh) session = undefined
          if (!fresh.destroyed) fresh.close()
        })
        fresh.once('close', () => {
          if (session === fresh) session = undefined
        })
        session = fresh
      }
      return session.request(headers)
    },
    close: () => session?.destroy(),
  }
}

interface Http2Answer {
  readonly status: number
  readonly instance: string | undefined
  readonly body: Buffer
  readonly grpcStatus: string | undefined
  readonly grpcMessage: string
}

function exchange(stream: ClientHttp2Stream, attempt: LoadAttempt, message?: Buffer): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let status = 0
    let instance: string | undefined
    let grpc: Record<string, string | string[] | undefined> = {}
    let wasEnded = false
    let failure: LoadFailure | undefined
    const chunks: Buffer[] = []
    const giveUp = () => stream.destroy(asLoadFailure(attempt.signal.reason, instance))
    attempt.signal.addEventListener('abort', giveUp, { once: true })

    stream.once('response', (headers) => {
      status = headers[':status'] ?? 0
      grpc = headers
      const name = headers['x-instance']
      instance = typeof name === 'string' ? name : undefined
      if (instance !== undefined) attempt.answered(instance)
    })
    stream.once('trailers', (trailers) => {
      grpc = { ...trailers }
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.once('end', () => {
      wasEnded = true
    })
    stream.once('aborted', () => {
      failure ??= new LoadFailure('ABORTED', 'the stream was broken off', instance)
    })
    stream.on('error', (error) => {
      failure = asLoadFailure(error, instance)
    })
    stream.once('close', () => {
      attempt.signal.removeEventListener('abort', giveUp)
      const code = stream.rstCode ?? 0
      if (failure !== undefined) reject(failure)
      else if (code !== 0) reject(new LoadFailure(`RST_${code}`, 'the stream was reset', instance))
      else if (status === 0 || !wasEnded)
        reject(new LoadFailure('TRUNCATED', `closed after ${Buffer.concat(chunks).length} bytes`, instance))
      else
        resolve({
          status,
          instance,
          body: Buffer.concat(chunks),
          grpcStatus: text(grpc['grpc-status']),
          grpcMessage: text(grpc['grpc-message']) ?? '',
        })
    })
    if (attempt.signal.aborted) giveUp()
    else if (message === undefined) stream.end()
    else stream.end(message)
  })
}

function text(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
