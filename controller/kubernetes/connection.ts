import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import { readBody } from '../answer-body.ts'
import { withDeadline } from '../join/deadline.ts'
import { type Access, sameTls } from './kubeconfig.ts'

export interface ConnectionDeps {
  /** Called again every minute, and when the API server no longer accepts what it said. */
  readonly access: () => Promise<Access>
  readonly clock: Clock
  /** How many requests may be under way at once, watches included. */
  readonly sockets?: number
}

export interface Outgoing {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly body?: unknown
  readonly contentType?: string
  readonly signal?: AbortSignal | undefined
  /** Longest time until the answer, or of a stream its head, is there. */
  readonly timeoutMs?: number
}

export interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

/**
 * The one way to an API server: a pool of kept connections. The client library gives its users a new TLS
 * connection per request (measured with 600 requests: 1760 ms of CPU instead of 417), so that of it only the
 * reading of kubeconfigs and credentials is used.
 */
export interface Connection {
  /** Throws what node:https throws, or the reason of the signal; any status is an answer. */
  send(request: Outgoing): Promise<Answer>
  /** The same, with the body as it comes. */
  open(request: Outgoing): Promise<IncomingMessage>
  /** Namespace of the kubeconfig's context, or of the pod. */
  namespace(): Promise<string | undefined>
  close(): void
}

// As client-go: rotated tokens overlap by far more.
const refreshMs = 60_000
// The API server drops idle connections later than that, so a request does not meet a closing one.
const idleMs = 30_000
const defaultTimeoutMs = 15_000
/** A page of 500 of the largest objects is far below it. */
const mostBytes = 256 * 1024 * 1024

export function createConnection(deps: ConnectionDeps): Connection {
  const { clock, sockets = 32 } = deps
  let known: { readonly access: Access; readonly at: number } | undefined
  let reading: Promise<Access> | undefined
  let agent: Agent | undefined
  let isClosed = false

  async function access(): Promise<Access> {
    if (known !== undefined && clock.now() - known.at < refreshMs && clock.now() >= known.at)
      return known.access
    reading ??= renew().finally(() => {
      reading = undefined
    })
    return reading
  }

  async function renew(): Promise<Access> {
    const before = known?.access
    let fresh: Access
    try {
      fresh = await deps.access()
    } catch (error) {
      // A file that is being replaced: what was known may still be good, and a 401 tells when it is not.
      if (before === undefined) throw error
      fresh = before
    }
    if (agent === undefined || before === undefined || !sameTls(before, fresh)) {
      // Requests under way keep their sockets; idle ones of the old agent end by their time-out.
      agent = createAgent(fresh, sockets)
    }
    known = { access: fresh, at: clock.now() }
    return fresh
  }

  async function exchange(out: Outgoing, signal: AbortSignal): Promise<IncomingMessage> {
    for (let tries = 1; ; tries += 1) {
      const current = await access()
      signal.throwIfAborted()
      if (isClosed) throw new MooringError('UNAVAILABLE', { detail: 'the connection is closed' })
      const answer = await once(out, current, signal)
      if (answer.statusCode !== 401 || tries > 1) return answer
      answer.resume()
      known = undefined
    }
  }

  function once(out: Outgoing, { server, authorization, impersonate }: Access, signal: AbortSignal) {
    const body = out.body === undefined ? undefined : JSON.stringify(out.body)
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpsRequest(
        {
          agent: agent ?? false,
          host: server.hostname.replace(/^\[|\]$/g, ''),
          port: server.port || 443,
          path: `${server.pathname.replace(/\/$/, '')}${out.path}`,
          method: out.method,
          signal,
          headers: {
            accept: 'application/json',
            'user-agent': 'mooring-controller',
            ...(authorization && { authorization: authorization.reveal() }),
            ...(impersonate && { 'impersonate-user': impersonate }),
            ...(body !== undefined && {
              'content-type': out.contentType ?? 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
          },
        },
        resolve,
      )
      request.on('error', reject)
      request.end(body)
    })
  }

  return {
    send(out) {
      return limited(out, async (signal) => {
        const answer = await exchange(out, signal)
        return {
          status: answer.statusCode ?? 0,
          retryAfter: answer.headers['retry-after'],
          body: await wholeBody(answer),
        }
      })
    },
    open(out) {
      // The stream lives on under the caller's signal alone.
      const lifetime = new AbortController()
      const end = () => lifetime.abort(out.signal?.reason)
      if (out.signal?.aborted) end()
      out.signal?.addEventListener('abort', end, { once: true })
      const opened = limited({ ...out, signal: undefined }, (late) => {
        const onLate = () => lifetime.abort(late.reason)
        late.addEventListener('abort', onLate, { once: true })
        return exchange(out, lifetime.signal).finally(() => late.removeEventListener('abort', onLate))
      })
      opened.then(
        (answer) => answer.once('close', () => out.signal?.removeEventListener('abort', end)),
        () => out.signal?.removeEventListener('abort', end),
      )
      return opened
    },
    namespace: async () => (await access()).namespace,
    close() {
      isClosed = true
      agent?.destroy()
    },
  }

  function limited<T>(out: Outgoing, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withDeadline(clock, out.timeoutMs ?? defaultTimeoutMs, `${out.method} ${out.path}`, (late) =>
      work(out.signal === undefined ? late : AbortSignal.any([late, out.signal])),
    )
  }
}

/** Why a request had no answer, for people: node's error code, or the words of the error. */
export function causeText(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && !isMooringError(error) ? `${code} ${errorText(error)}` : errorText(error)
}

function createAgent({ tls }: Access, sockets: number): Agent {
  return new Agent({
    keepAlive: true,
    keepAliveMsecs: 15_000,
    maxSockets: sockets,
    scheduling: 'lifo',
    timeout: idleMs,
    rejectUnauthorized: tls.rejectUnauthorized,
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key.reveal() }),
    ...(tls.servername !== undefined && { servername: tls.servername }),
  })
}

async function wholeBody(answer: IncomingMessage): Promise<string> {
  const body = await readBody(answer, mostBytes)
  if (body !== undefined) return body
  throw new MooringError('REQUEST_TOO_LARGE', {
    detail: `the API server's answer has over ${mostBytes} bytes`,
  })
}
