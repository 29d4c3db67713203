import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'
import { readBody } from '../answer-body.ts'
import { withDeadline } from '../join/deadline.ts'

export interface Asked {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Undefined where there was none. */
  readonly body: unknown
}

/** JSON over HTTP with the services of a cloud, over kept connections. */
export interface Exchange {
  /** Any status is a reply. Throws `LCM_UNREACHABLE`, `LCM_ANSWER_INVALID`, or the reason of the signal. */
  send(asked: Asked, signal: AbortSignal): Promise<Reply>
  close(): void
}

export interface ExchangeDeps {
  readonly clock: Clock
  /** Authorities that are trusted instead of the system's, PEM. */
  readonly ca?: string
  readonly timeoutMs?: number
}

const defaultTimeoutMs = 20_000
/** An instance with 200 VNFCs has 300 KB. */
const mostBytes = 16 * 1024 * 1024
const pool = { keepAlive: true, maxSockets: 8, timeout: 30_000 }

export function createExchange(deps: ExchangeDeps): Exchange {
  const { clock, ca, timeoutMs = defaultTimeoutMs } = deps
  const plain = new HttpAgent(pool)
  const secure = new HttpsAgent({ ...pool, ...(ca !== undefined && { ca }) })

  function open({ method, url, headers, body }: Asked, signal: AbortSignal): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const options = {
      method,
      signal,
      headers: {
        accept: 'application/json',
        'user-agent': 'mooring-controller',
        ...(text !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        }),
        ...headers,
      },
    }
    return new Promise((resolve, reject) => {
      const request =
        url.protocol === 'https:'
          ? httpsRequest(url, { ...options, agent: secure }, resolve)
          : httpRequest(url, { ...options, agent: plain }, resolve)
      request.on('error', reject)
      request.end(text)
    })
  }

  return {
    async send(asked, signal) {
      const what = `${asked.method} ${asked.url.origin}${asked.url.pathname}`
      try {
        return await withDeadline(clock, timeoutMs, what, async (late) => {
          const answer = await open(asked, AbortSignal.any([late, signal]))
          const text = await readBody(answer, mostBytes)
          if (text === undefined)
            throw new MooringError('LCM_ANSWER_INVALID', { detail: `${what}: over ${mostBytes} bytes` })
          return { status: answer.statusCode ?? 0, headers: answer.headers, body: parsed(text, answer, what) }
        })
      } catch (error) {
        signal.throwIfAborted()
        if (isMooringError(error, 'LCM_ANSWER_INVALID')) throw error
        throw new MooringError('LCM_UNREACHABLE', { detail: `${what}: ${errorText(error)}`, cause: error })
      }
    },
    close() {
      plain.destroy()
      secure.destroy()
    },
  }
}

/** Errors come as HTML from whatever stands in front of a service: only where it went well must it be JSON. */
function parsed(text: string, { statusCode = 0 }: IncomingMessage, what: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch (cause) {
    if (statusCode >= 400) return text
    throw new MooringError('LCM_ANSWER_INVALID', { detail: `${what}: no JSON`, cause })
  }
}

/** The error for a reply that is none of those wanted, with what it says of itself. */
export function refusal(what: string, { status, body }: Reply): MooringError {
  return new MooringError('LCM_REFUSED', { detail: `${what}: ${status}${wordsOf(body)}` })
}

const mostWords = 300

/** `detail` of SOL 013's ProblemDetails, `error.message` of Keystone, Nova and Neutron, or the text as it is. */
function wordsOf(body: unknown): string {
  const { detail, error } = (typeof body === 'object' && body !== null ? body : {}) as {
    detail?: unknown
    error?: { message?: unknown }
  }
  const words = detail ?? error?.message ?? (typeof body === 'string' ? body : undefined)
  if (typeof words !== 'string') return ''
  return ` ${words.replace(/[\p{C}\s]+/gu, ' ').slice(0, mostWords)}`
}
