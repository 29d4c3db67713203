import { type ErrorCode, errorCatalogue } from '../../shared/error-catalogue.ts'
import { errorText, isMooringError } from '../../shared/errors.ts'

/** One thing that was looked at. */
export interface Finding {
  readonly check: string
  /** `hint`: it may be a cause of trouble and need not be. */
  readonly result: 'well' | 'wrong' | 'hint'
  readonly detail: string
  readonly code?: ErrorCode
  readonly fix?: string
}

/** Looks at one thing. What it throws is what is wrong; the text it returns says what is well. */
export interface Check {
  readonly name: string
  readonly severity?: 'hint'
  look(signal: AbortSignal): Promise<string>
}

const limitMs = 15_000

/** Looks at everything; no check keeps the next from being made. */
export async function diagnose(checks: readonly Check[], signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { name, severity, look } of checks) {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)])
      findings.push({ check: name, result: 'well', detail: await look(limit) })
    } catch (error) {
      signal.throwIfAborted()
      findings.push({ check: name, result: severity ?? 'wrong', ...wordsOf(error) })
    }
  }
  return findings
}

/** Whether anything has to be mended. */
export function isWell(findings: readonly Finding[]): boolean {
  return findings.every(({ result }) => result !== 'wrong')
}

/** The findings for people. */
export function findingsText(findings: readonly Finding[]): string {
  const marks = { well: 'ok   ', wrong: 'WRONG', hint: 'hint ' } as const
  const lines = findings.flatMap(({ check, result, detail, fix }) => [
    `${marks[result]} ${check.padEnd(14)} ${detail}`,
    ...(fix === undefined ? [] : [`      ${' '.repeat(14)} fix: ${fix}`]),
  ])
  const wrong = findings.filter(({ result }) => result === 'wrong').length
  const end = wrong === 0 ? 'Nothing is wrong.' : `${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong.`
  return `${lines.join('\n')}\n${end}\n`
}

function wordsOf(error: unknown): Pick<Finding, 'detail' | 'code' | 'fix'> {
  if (!isMooringError(error)) return { detail: errorText(error) }
  return { detail: error.message, code: error.code, fix: errorCatalogue[error.code].fix }
}
