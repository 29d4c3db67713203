import type { ErrorCode } from '../shared/error-catalogue.ts'
import { errorText, isMooringError } from '../shared/errors.ts'
import { type Paint, plain } from './table.ts'

/** What the exit status of `mooring` says. */
export const exitCodes = { ok: 0, failure: 1, usage: 2, denied: 3, unreachable: 4, interrupted: 130 } as const

const byCode: Partial<Record<ErrorCode, keyof typeof exitCodes>> = {
  CONFIG_INVALID: 'usage',
  REQUEST_INVALID: 'usage',
  UNAUTHENTICATED: 'denied',
  FORBIDDEN: 'denied',
  ENROLMENT_INVALID: 'denied',
  CONTROLLER_UNREACHABLE: 'unreachable',
  CONTROLLER_UNTRUSTED: 'unreachable',
}

/** The exit status that belongs to a failure. */
export function exitCodeOf(error: unknown): number {
  return exitCodes[isMooringError(error) ? (byCode[error.code] ?? 'failure') : 'failure']
}

/** A failure in the words of the error catalogue: what, why here, and what to do. */
export function renderFailure(error: unknown, paint: Paint): string {
  if (!isMooringError(error)) return `${paint('error', 'bad')}: ${plain(errorText(error))}\n`
  const lines = [`${paint(`error ${error.code}`, 'bad')}: ${error.title}`]
  if (error.detail !== undefined)
    lines.push(`  cause  ${error.detail.split('\n').map(plain).join('\n         ')}`)
  lines.push(`  fix    ${error.fix}`)
  return `${lines.join('\n')}\n`
}

/** The same for programs. */
export function failureJson(error: unknown): Readonly<Record<string, unknown>> {
  if (!isMooringError(error)) return { title: errorText(error) }
  const { code, title, detail, fix, retryable } = error
  return { code, title, ...(detail === undefined ? {} : { detail }), fix, retryable }
}
