import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { MooringError } from '../../../shared/errors.ts'

const Id = Type.String({ minLength: 1, maxLength: 255, pattern: '^[A-Za-z0-9_.:-]+$' })
const Word = Type.String({ maxLength: 64 })

/** What ETSI GS NFV-SOL 003 (clauses 5.5.2.17 to 5.5.2.19) and Tacker's two dialects of it have in common. */
const Notification = Type.Object({
  id: Id,
  notificationType: Type.Enum([
    'VnfIdentifierCreationNotification',
    'VnfIdentifierDeletionNotification',
    'VnfLcmOperationOccurrenceNotification',
  ]),
  subscriptionId: Id,
  vnfInstanceId: Id,
  timeStamp: Type.Optional(Type.String({ maxLength: 64 })),
  vnfLcmOpOccId: Type.Optional(Id),
  operation: Type.Optional(Word),
  operationState: Type.Optional(Word),
})

/** What a notification is taken for: where to look, and nothing more. What it says happened is read from Tacker. */
export interface Hint {
  /** One notification; Tacker's first interface sends it again under the same. */
  readonly id: string
  readonly subscription: string
  readonly instance: string
  readonly about: 'creation' | 'deletion' | 'operation'
  /** Absent unless it is about an operation. */
  readonly occurrence?: string
  readonly operation?: string
  readonly state?: string
  /** Unix milliseconds; absent where it cannot be read. */
  readonly at?: number
}

/**
 * Reads the body of a notification, of Tacker's interface of version 1 or 2. Throws `REQUEST_INVALID`, naming the
 * field. The rest of it is not looked at: it differs between versions, it is long, and it may be forged.
 */
export function parseNotification(body: unknown): Hint {
  if (!Value.Check(Notification, body)) {
    const [first] = Value.Errors(Notification, body)
    throw invalid(`${first?.instancePath || 'body'} ${first?.message ?? 'is no notification'}`)
  }
  const kind = kinds[body.notificationType]
  const { id, subscriptionId, vnfInstanceId, vnfLcmOpOccId, operation, operationState } = body
  if (kind === 'operation' && vnfLcmOpOccId === undefined) throw invalid('/vnfLcmOpOccId is missing')
  const at = timeOf(body.timeStamp)
  return {
    ...{ id, subscription: subscriptionId, instance: vnfInstanceId, about: kind },
    ...(vnfLcmOpOccId !== undefined && { occurrence: vnfLcmOpOccId }),
    ...(operation !== undefined && { operation }),
    ...(operationState !== undefined && { state: operationState }),
    ...(at !== undefined && { at }),
  }
}

const kinds = {
  VnfIdentifierCreationNotification: 'creation',
  VnfIdentifierDeletionNotification: 'deletion',
  VnfLcmOperationOccurrenceNotification: 'operation',
} as const satisfies Record<Static<typeof Notification>['notificationType'], Hint['about']>

/** Version 1 writes times of UTC without saying so (`2026-11-21T09:18:22.179832`). */
export function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, day, time, zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  const at = Date.parse(`${day}T${time}${zone}`)
  return Number.isNaN(at) ? undefined : at
}

function invalid(detail: string): MooringError {
  return new MooringError('REQUEST_INVALID', { detail })
}
