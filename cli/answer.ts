import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { Problem } from '../shared/api/join.ts'
import type { ErrorCode } from '../shared/error-catalogue.ts'
import { isErrorCode, MooringError } from '../shared/errors.ts'

/** An answer of the controller, read whole. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly retryAfter: string | undefined
  readonly body: string
}

/** The value of an answer; throws what the controller reported, or what is wrong with the answer. */
export function readAnswer<S extends TSchema>(
  answer: Answer,
  schema: S | undefined,
  now: number,
): Static<S> | undefined {
  if (answer.status < 200 || answer.status > 299) throw refusal(answer, now)
  if (schema === undefined) return undefined
  const value = parse(answer)
  const [fault] = Value.Errors(schema, value)
  if (fault === undefined) return value as Static<S>
  throw notMooring(
    `its answer does not fit at "${fault.instancePath}": ${fault.message}; is it of another release?`,
  )
}

/** What is said when something else than a Mooring controller answers. */
export function notMooring(detail: string): MooringError {
  return new MooringError('CONTROLLER_UNREACHABLE', { detail: `something answers, but ${detail}` })
}

function parse(answer: Answer): unknown {
  if (!/^application\/(?:[\w.-]+\+)?json\b/.test(answer.contentType)) {
    throw notMooring(
      `not as a Mooring controller does: ${answer.status} ${answer.contentType || 'without a type'}`,
    )
  }
  try {
    return JSON.parse(answer.body)
  } catch (cause) {
    throw new MooringError('CONTROLLER_UNREACHABLE', { detail: 'its answer was cut short or altered', cause })
  }
}

function refusal(answer: Answer, now: number): MooringError {
  const problem = parse(answer)
  if (!Value.Check(Problem, problem))
    throw notMooring(`not as a Mooring controller does: status ${answer.status}`)
  const retryAfterSeconds = readRetryAfter(answer.retryAfter, now)
  const options = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
  const request =
    problem.code === 'INTERNAL' && problem.instance !== undefined ? `request ${problem.instance}` : undefined
  if (isErrorCode(problem.code)) {
    const detail = [problem.detail, request].filter((part) => part !== undefined).join('; ')
    return new MooringError(problem.code, { ...options, ...(detail === '' ? {} : { detail }) })
  }
  // A newer controller's code: its own words, under the nearest code of this release.
  const words = [`${problem.title} (${problem.code})`, problem.detail, problem.fix]
  return new MooringError(nearest(answer.status), { ...options, detail: words.filter(Boolean).join('. ') })
}

function nearest(status: number): ErrorCode {
  const known: Readonly<Record<number, ErrorCode>> = {
    401: 'UNAUTHENTICATED',
    403: 'FORBIDDEN',
    404: 'NOT_FOUND',
    409: 'CONFLICT',
    413: 'REQUEST_TOO_LARGE',
    429: 'RATE_LIMITED',
    503: 'UNAVAILABLE',
  }
  return known[status] ?? (status >= 500 ? 'INTERNAL' : 'REQUEST_INVALID')
}

/** Seconds of a Retry-After header (RFC 9110, 10.2.3): a number or a date. */
function readRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000))
}
