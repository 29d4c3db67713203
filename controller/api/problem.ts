import type { FastifyError } from 'fastify'
import type { Static } from 'typebox'
import type { Problem as ProblemSchema } from '../../shared/api/join.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'
import { MooringError } from '../../shared/errors.ts'

export type Problem = Static<typeof ProblemSchema>

export const problemType = 'application/problem+json; charset=utf-8'

// What the framework finds wrong before a route runs; anything else of it is our fault.
const frameworkCodes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['REQUEST_TOO_LARGE', 'the body is too large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['MEDIA_TYPE_UNSUPPORTED', 'the body is not application/json'],
  FST_ERR_CTP_INVALID_TYPE: ['MEDIA_TYPE_UNSUPPORTED', 'the Content-Type cannot be read'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['REQUEST_INVALID', 'the body is empty'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['REQUEST_INVALID', 'the body is not JSON'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['REQUEST_INVALID', 'the body is not as long as Content-Length says'],
  FST_ERR_BAD_URL: ['REQUEST_INVALID', 'the path cannot be decoded'],
  FST_ERR_MAX_PARAM_LENGTH: ['NOT_FOUND', 'the path is too long'],
}

/** Any error as one of the catalogue; what nobody expected becomes `INTERNAL`, without its text. */
export function asMooringError(error: unknown): MooringError {
  if (error instanceof MooringError) return error
  const { code = '', statusCode } = (error ?? {}) as Partial<FastifyError>
  const known = frameworkCodes[code]
  if (known !== undefined) return new MooringError(known[0], { detail: known[1], cause: error })
  // The JSON parser's own errors carry no code of the framework.
  if (error instanceof SyntaxError && statusCode === 400) {
    return new MooringError('REQUEST_INVALID', { detail: 'the body is not JSON', cause: error })
  }
  return new MooringError('INTERNAL', { cause: error })
}

/** Problem details (RFC 9457) of an error. */
export function problemOf(error: MooringError, requestId: string): Problem {
  return {
    type: `urn:mooring:error:${error.code}`,
    title: error.title,
    status: error.status,
    ...(error.detail !== undefined && { detail: error.detail.slice(0, 4096) }),
    code: error.code,
    fix: error.fix,
    instance: requestId,
  }
}

/** Seconds for `Retry-After`; undefined where a retry is not a matter of time. */
export function retryAfter(error: MooringError, random: () => number): number | undefined {
  if (error.retryAfterSeconds !== undefined) return Math.max(1, Math.ceil(error.retryAfterSeconds))
  if (error.status !== 503 && error.status !== 429) return undefined
  return 1 + Math.floor(random() * 5)
}

interface SchemaFault {
  readonly instancePath?: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/** Names the field that does not fit; never its value, which may be a secret. */
export function schemaError(faults: readonly SchemaFault[], part: string): MooringError {
  // The deepest fault is the one that the reader can correct: those above it only say that it is there.
  const [fault] = [...faults].sort((a, b) => depth(b) - depth(a))
  const extra = fault?.params?.additionalProperty
  const name = typeof extra === 'string' ? ` (${extra.slice(0, 64).replace(/[^\w.-]/g, '?')})` : ''
  const path = fault?.instancePath ? fault.instancePath.slice(0, 200) : ''
  return new MooringError('REQUEST_INVALID', {
    detail: `${part}${path} ${fault?.message ?? 'does not fit'}${name}`,
  })
}

function depth(fault: SchemaFault): number {
  return (fault.instancePath ?? '').split('/').length
}
