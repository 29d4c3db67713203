import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { isMooringError, MooringError } from '../../shared/errors.ts'

/** What a request wanted, for words about its failure. */
export interface Intent {
  /** As RBAC calls it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`. */
  readonly verb: string
  /** `workloadentries.networking.istio.io`, with `/status` and the like. */
  readonly resource: string
  readonly namespace?: string
  readonly name?: string
}

/** Code for an API server that does not answer now. */
export type UnavailableCode = 'STORE_UNAVAILABLE' | 'MESH_UNAVAILABLE'

/** meta/v1 Status: what the API server answers when it refuses. */
export const ApiStatus = Type.Object({
  message: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      kind: Type.Optional(Type.String()),
      retryAfterSeconds: Type.Optional(Type.Number()),
      causes: Type.Optional(
        Type.Array(
          Type.Object({
            field: Type.Optional(Type.String()),
            message: Type.Optional(Type.String()),
          }),
        ),
      ),
    }),
  ),
})
export type ApiStatus = Static<typeof ApiStatus>

export interface Refused {
  readonly status: number
  readonly body: string
  readonly retryAfter?: string | undefined
}

const mostDetail = 900

/** The error that says in the catalogue's words why the API server refused, and what it was asked. */
export function refusal(intent: Intent, refused: Refused, unavailable: UnavailableCode): MooringError {
  const status = readStatus(refused.body)
  const what = wordsOf(intent)
  const said = short(status.message ?? '')
  switch (refused.status) {
    case 400:
    case 413:
    case 422:
      return new MooringError('KUBERNETES_REFUSED', { detail: short(`${what}: ${fieldsOf(status) || said}`) })
    case 401:
      return new MooringError('KUBERNETES_UNAUTHENTICATED', { detail: what })
    case 403:
      // A namespace that is being deleted, or a quota: no permission is missing.
      if (/being terminated|exceeded quota/.test(said)) {
        return new MooringError('KUBERNETES_REFUSED', { detail: short(`${what}: ${said}`) })
      }
      return new MooringError('KUBERNETES_FORBIDDEN', { detail: what })
    case 404:
      // Without a name in its details it is the path that does not exist: the definition is not installed.
      return status.details?.name === undefined
        ? new MooringError('KUBERNETES_KIND_MISSING', { detail: intent.resource })
        : new MooringError('NOT_FOUND', { detail: `${what}: ${said}` })
    case 409:
      return new MooringError('CONFLICT', { detail: what })
    default: {
      const seconds = status.details?.retryAfterSeconds ?? Number(refused.retryAfter ?? Number.NaN)
      return new MooringError(unavailable, {
        detail: short(`${what}: HTTP ${refused.status} ${said}`.trim()),
        retryAfterSeconds: Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 120) : 5,
      })
    }
  }
}

/** Whether the refusal is that of a namespace which is being deleted, where nothing can be made any more. */
export function isNamespaceEnding(error: unknown): boolean {
  return isMooringError(error, 'KUBERNETES_REFUSED') && /being terminated/.test(error.detail ?? '')
}

/** `create virtualmachines.mesh.mooring shop/vm-1`. */
export function wordsOf({ verb, resource, namespace, name }: Intent): string {
  const place = [namespace, name].filter((part) => part !== undefined).join('/')
  return place === '' ? `${verb} ${resource}` : `${verb} ${resource} ${place}`
}

/** The Status in a body; an empty one when it holds none. */
export function readStatus(body: string): ApiStatus {
  try {
    const parsed: unknown = JSON.parse(body)
    return Value.Check(ApiStatus, parsed) ? parsed : {}
  } catch {
    return {}
  }
}

function fieldsOf({ details }: ApiStatus): string {
  return (details?.causes ?? []).map(({ field, message }) => `${field ?? '?'}: ${message ?? ''}`).join('; ')
}

function short(text: string): string {
  return text.length > mostDetail ? `${text.slice(0, mostDetail)}…` : text
}
