import type { ErrorCode } from '../../shared/error-catalogue.ts'

/** Why somebody is not admitted. `detail` is shown to the joiner: it says nothing that the joiner may not know. */
export interface Refusal {
  readonly code: ErrorCode
  readonly detail?: string
  readonly retryAfterSeconds?: number
}
