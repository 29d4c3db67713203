import { type ErrorCode, errorCatalogue } from './error-catalogue.ts'

export interface MooringErrorOptions {
  /** What exactly, in this case; one sentence, no secret. */
  readonly detail?: string
  readonly cause?: unknown
  /** For HTTP 429 and 503: seconds until a retry makes sense. */
  readonly retryAfterSeconds?: number
}

/** The only error class that this project throws on purpose. */
export class MooringError extends Error {
  readonly code: ErrorCode
  readonly detail: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, options: MooringErrorOptions = {}) {
    const { title } = errorCatalogue[code]
    super(options.detail === undefined ? title : `${title}: ${options.detail}`, { cause: options.cause })
    this.name = 'MooringError'
    this.code = code
    this.detail = options.detail
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get title(): string {
    return errorCatalogue[this.code].title
  }

  get fix(): string {
    return errorCatalogue[this.code].fix
  }

  get status(): number {
    return errorCatalogue[this.code].status || 500
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable
  }
}

/** Whether `value` is a `MooringError`, optionally of one code. */
export function isMooringError(value: unknown, code?: ErrorCode): value is MooringError {
  return value instanceof MooringError && (code === undefined || value.code === code)
}

/** Whether `code` is in the catalogue; a code that came over the wire may be newer than this program. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code)
}

/** Any thrown thing as one line for a log or a person. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
