import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { Static, TSchema } from 'typebox'
import { createBackoff } from '../shared/backoff.ts'
import type { Clock } from '../shared/clock.ts'
import { isMooringError, type MooringError } from '../shared/errors.ts'
import type { Secret } from '../shared/secret.ts'
import { notMooring, readAnswer } from './answer.ts'
import type { ClientCertificate } from './client-certificate.ts'
import { createEventReader, type ServerEvent } from './event-reader.ts'
import { transportFailure } from './transport-failure.ts'

export interface CallOptions {
  /** Query parameters; undefined ones are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  /** Sent as they are, instead of `body`. */
  readonly bytes?: Buffer
}

/** The operators' side of the controller's interface (`shared/api/wire.ts`). */
export interface Client {
  /** Sends a request and gives its checked answer; repeats it where that can do no harm. */
  call<S extends TSchema>(method: Method, path: string, schema: S, options?: CallOptions): Promise<Static<S>>
  /** A request whose answer has no content. */
  send(method: Method, path: string, options?: CallOptions): Promise<void>
  /** Server-sent events until the connection ends, throws, or `signal` aborts. */
  events(path: string, options: CallOptions, signal: AbortSignal): AsyncIterable<ServerEvent>
  close(): void
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

export interface ClientDeps {
  /** Origin, `https://host:port`. */
  readonly server: URL
  /** PEM of the authority that alone is trusted. */
  readonly ca: string
  readonly token?: Secret | undefined
  /** Shown instead of a token. */
  readonly certificate?: ClientCertificate | undefined
  readonly clock: Clock
  readonly random?: () => number
  readonly signal: AbortSignal
  /** @defaultValue 30000 */
  readonly timeoutMs?: number
  /** Largest answer. @defaultValue 64 MiB: a list of 10,000 VMs */
  readonly maxBytes?: number
  /** A stream of events that is silent for so long is dead; the controller sends a line every 10 s. @defaultValue 30000 */
  readonly silenceMs?: number
}

const attempts = 4
const longestWaitMs = 30_000
/** Repeating these changes nothing: drain is a wish, and wishing twice is wishing once. */
const idempotent = (method: Method, path: string) => method !== 'POST' || path.endsWith('/drain')

/** A client that trusts one authority, keeps its connection, and bounds what it reads and how long it waits. */
export function createClient(deps: ClientDeps): Client {
  const { server, clock, signal, timeoutMs = 30_000, maxBytes = 64 * 1024 * 1024, silenceMs = 30_000 } = deps
  const agent = new Agent({
    ...{ keepAlive: true, maxSockets: 4, ca: deps.ca, allowPartialTrustChain: true },
    ...(deps.certificate && { pfx: deps.certificate.pfx, passphrase: deps.certificate.password.reveal() }),
  })

  async function open(
    method: Method,
    path: string,
    options: CallOptions,
    accept: string,
    until: AbortSignal,
  ) {
    const url = new URL(path, server)
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    const json = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body))
    const body = options.bytes ?? json
    const headers: Record<string, string> = { accept }
    if (deps.token !== undefined) headers.authorization = `Bearer ${deps.token.reveal()}`
    if (body !== undefined) {
      headers['content-type'] = body === json ? 'application/json' : 'application/octet-stream'
      headers['content-length'] = String(body.length)
    }
    return await exchange(url, { method, headers, agent, signal: until }, body)
  }

  async function once(method: Method, path: string, options: CallOptions) {
    const limit = AbortSignal.timeout(timeoutMs)
    try {
      const response = await open(method, path, options, 'application/json', AbortSignal.any([signal, limit]))
      return {
        status: response.statusCode ?? 0,
        contentType: response.headers['content-type'] ?? '',
        retryAfter: response.headers['retry-after'],
        body: await readBody(response, maxBytes),
      }
    } catch (error) {
      if (limit.aborted && !signal.aborted)
        throw transportFailure(new Error(`no answer within ${timeoutMs} ms`), server)
      throw signal.aborted ? signal.reason : transportFailure(error, server)
    }
  }

  async function attempt<S extends TSchema>(
    method: Method,
    path: string,
    schema: S | undefined,
    options: CallOptions,
  ) {
    const backoff = createBackoff({ baseMs: 200, maxMs: 5000, floorMs: 50, ...pick(deps.random) })
    for (;;) {
      try {
        return readAnswer(await once(method, path, options), schema, clock.now())
      } catch (error) {
        const wait = backoff.next()
        if (!mayRepeat(error) || !idempotent(method, path) || backoff.attempts >= attempts) throw error
        const asked = (error.retryAfterSeconds ?? 0) * 1000
        if (asked > longestWaitMs) throw error
        await clock.sleep(Math.max(wait, asked), signal)
      }
    }
  }

  return {
    async call(method, path, schema, options = {}) {
      return (await attempt(method, path, schema, options)) as Static<typeof schema>
    },
    async send(method, path, options = {}) {
      await attempt(method, path, undefined, options)
    },
    async *events(path, options, until) {
      const reader = createEventReader()
      const decoder = new TextDecoder()
      const ended = AbortSignal.any([signal, until])
      const silence = createSilence(silenceMs)
      try {
        const response = await open(
          'GET',
          path,
          options,
          'text/event-stream',
          AbortSignal.any([ended, silence.signal]),
        )
        if (
          response.statusCode !== 200 ||
          !response.headers['content-type']?.startsWith('text/event-stream')
        ) {
          const body = await readBody(response, maxBytes)
          const { statusCode: status = 0, headers } = response
          readAnswer(
            { status, contentType: headers['content-type'] ?? '', retryAfter: headers['retry-after'], body },
            undefined,
            clock.now(),
          )
          throw notMooring('it sends no events')
        }
        for await (const chunk of response) {
          silence.heard()
          yield* reader.push(decoder.decode(chunk as Buffer, { stream: true }))
        }
      } catch (error) {
        if (ended.aborted) throw ended.reason
        throw transportFailure(silence.signal.aborted ? silence.signal.reason : error, server)
      } finally {
        silence.close()
      }
    },
    close() {
      agent.destroy()
    },
  }
}

function mayRepeat(error: unknown): error is MooringError {
  return (
    isMooringError(error, 'CONTROLLER_UNREACHABLE') ||
    isMooringError(error, 'RATE_LIMITED') ||
    isMooringError(error, 'UNAVAILABLE') ||
    isMooringError(error, 'MESH_UNAVAILABLE')
  )
}

function exchange(url: URL, options: RequestOptions, body: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, options, resolve)
    request.once('error', reject)
    request.end(body)
  })
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) {
      response.destroy()
      throw notMooring(`its answer is larger than ${maxBytes} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function createSilence(ms: number) {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(new Error(`nothing was heard for ${ms} ms`)), ms)
  return { signal: controller.signal, heard: () => void timer.refresh(), close: () => clearTimeout(timer) }
}

function pick(random: (() => number) | undefined) {
  return random === undefined ? {} : { random }
}
