import { Agent, type RequestOptions, request } from 'node:https'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { connectionError } from './tls-error.ts'

/** A client certificate and its key, PEM. */
export interface Credentials {
  readonly key: string
  readonly certificate: string
}

export interface HttpRequest {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** PEM: the only authorities that count. */
  readonly ca: string
  readonly credentials?: Credentials
  /** Longest time until the head of the answer is there, and between two parts of its body. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: AsyncIterable<Uint8Array>
}

/** HTTPS to the controller. Connections are kept while calls follow each other. */
export interface Transport {
  /** Rejects with a `MooringError` when there is no answer, or with the signal's reason. */
  send(request: HttpRequest): Promise<HttpAnswer>
  /** Closes kept connections. */
  close(): void
}

export interface TransportDeps {
  readonly clock: Clock
}

/** HTTPS by node:https, with one pool of connections. */
export function createTransport({ clock }: TransportDeps): Transport {
  let pool = new Agent({ keepAlive: true, maxSockets: 4 })
  return {
    send: (options) =>
      new Promise((resolve, reject) => {
        const { url, signal, timeoutMs } = options
        if (signal.aborted) return reject(signal.reason)
        const limit = new AbortController()
        const watch = watchdog(timeoutMs, () => limit.abort())
        const ended = () => watch.stop()
        const failed = (error: unknown): unknown => {
          ended()
          if (signal.aborted) return signal.reason
          if (!limit.signal.aborted) return connectionError(error, url.host, clock.now())
          return new MooringError('CONTROLLER_UNREACHABLE', {
            detail: `${url.host} did not answer within ${timeoutMs / 1000} s`,
          })
        }
        const sent = request(
          requestOptions(options, pool, AbortSignal.any([signal, limit.signal])),
          (answer) => {
            watch.touch()
            resolve({
              status: answer.statusCode ?? 0,
              headers: answer.headers,
              body: parts(answer),
            })
          },
        )
        sent.once('error', (error) => reject(failed(error)))
        sent.end(options.body)

        async function* parts(answer: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
          try {
            for await (const part of answer) {
              watch.touch()
              yield part
            }
          } catch (error) {
            throw failed(error)
          } finally {
            ended()
          }
        }
      }),
    close() {
      pool.destroy()
      pool = new Agent({ keepAlive: true, maxSockets: 4 })
    },
  }
}

function requestOptions(options: HttpRequest, agent: Agent, signal: AbortSignal): RequestOptions {
  const { url, method, headers, body, ca, credentials } = options
  return {
    // An IPv6 literal stands in brackets in a URL, and without them everywhere else.
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port || 443,
    path: url.pathname + url.search,
    method,
    agent,
    signal,
    ca,
    // A pinned key is trusted as it is, also where another authority has certified it.
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    ...(credentials && { key: credentials.key, cert: credentials.certificate }),
    headers: {
      ...headers,
      ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    },
  }
}

/** Calls `bite` when nobody touched it for `ms`. */
function watchdog(ms: number, bite: () => void): { touch(): void; stop(): void } {
  let timer = setTimeout(bite, ms)
  return {
    touch() {
      clearTimeout(timer)
      timer = setTimeout(bite, ms)
    },
    stop: () => clearTimeout(timer),
  }
}
