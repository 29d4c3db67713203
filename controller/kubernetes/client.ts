import type { IncomingMessage } from 'node:http'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import { type Connection, causeText, type Outgoing } from './connection.ts'
import { type Intent, refusal, type UnavailableCode, wordsOf } from './refusal.ts'
import {
  apiVersionOf,
  fullName,
  type KubernetesObject,
  type ObjectName,
  pathOf,
  type ResourceType,
  type Scope,
} from './resource.ts'

export interface ClientDeps {
  readonly connection: Connection
  /** What an API server that does not answer means to who asks. */
  readonly unavailable: UnavailableCode
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number
}

export interface WriteOptions extends CallOptions {
  /** `status`, for instance. */
  readonly subresource?: string
  /** Fields that the kind does not know are refused instead of dropped in silence. */
  readonly strict?: boolean
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string
  /** Takes over fields that others own; without it a clash is `CONFLICT`. */
  readonly force: boolean
}

/** What must be so for a removal to happen. */
export interface Precondition {
  readonly uid?: string
  readonly resourceVersion?: string
}

/**
 * The verbs of the Kubernetes API. Errors: `NOT_FOUND`, `CONFLICT`, `KUBERNETES_REFUSED` (names the field),
 * `KUBERNETES_FORBIDDEN` (names verb and resource), `KUBERNETES_UNAUTHENTICATED`, `KUBERNETES_KIND_MISSING`, and
 * the one for an API server that does not answer, which is worth a retry.
 */
export interface Client {
  /** Undefined when it is not there. */
  get<T extends KubernetesObject>(
    type: ResourceType,
    at: ObjectName,
    options?: CallOptions,
  ): Promise<T | undefined>
  /** All of them, read in pages, with the version at which to begin a watch. */
  list<T extends KubernetesObject>(
    type: ResourceType,
    scope?: Scope,
    options?: CallOptions,
  ): Promise<Listing<T>>
  create<T extends KubernetesObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>
  /** Update: `metadata.resourceVersion` guards against lost updates. */
  replace<T extends KubernetesObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>
  /** Server-side apply. */
  apply<T extends KubernetesObject>(type: ResourceType, object: T, options: ApplyOptions): Promise<T>
  /** JSON merge patch (RFC 7386). */
  merge<T extends KubernetesObject>(
    type: ResourceType,
    at: ObjectName,
    patch: object,
    options?: WriteOptions,
  ): Promise<T>
  /** False when it was gone already. */
  remove(type: ResourceType, at: ObjectName, only?: Precondition, options?: CallOptions): Promise<boolean>
  /** A request to a virtual or sub-resource: TokenRequest, SubjectAccessReview, TokenReview. */
  post<T>(type: ResourceType, at: Partial<ObjectName>, body: object, options?: WriteOptions): Promise<T>
  /** The body of a watch, one event per line; `expired` when the version is no longer known (410). */
  watch(
    type: ResourceType,
    scope: Scope,
    from: WatchFrom,
    signal: AbortSignal,
  ): Promise<IncomingMessage | 'expired'>
}

export interface Listing<T> {
  readonly items: readonly T[]
  readonly resourceVersion: string
}

export interface WatchFrom {
  readonly resourceVersion: string
  readonly timeoutSeconds: number
}

const pageSize = 500
/** A list that changes faster than it can be read is begun anew so often. */
const mostLists = 3

export function createClient(deps: ClientDeps): Client {
  const { connection, unavailable } = deps

  async function call<T>(out: Outgoing, intent: Intent): Promise<T | { readonly status: 410 }> {
    try {
      const answer = await connection.send(out)
      if (answer.status === 410) return { status: 410 }
      if (answer.status < 200 || answer.status > 299) throw refusal(intent, answer, unavailable)
      return JSON.parse(answer.body) as T
    } catch (error) {
      throw explained(error, intent, out.signal)
    }
  }

  function explained(error: unknown, intent: Intent, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason
    if (isMooringError(error) && error.code !== 'UNAVAILABLE') return error
    const cause = isMooringError(error) ? error.detail : causeText(error)
    return new MooringError(unavailable, {
      detail: `${wordsOf(intent)}: ${cause}`,
      cause: error,
      retryAfterSeconds: 5,
    })
  }

  async function one<T>(out: Outgoing, intent: Intent): Promise<T> {
    const answer = await call<T>(out, intent)
    if (isExpired(answer)) throw refusal(intent, { status: 410, body: '' }, unavailable)
    return answer
  }

  async function listOnce<T>(
    type: ResourceType,
    scope: Scope,
    options: CallOptions,
  ): Promise<Listing<T> | 'expired'> {
    const items: T[] = []
    let next = ''
    for (;;) {
      const path = `${pathOf(type, scope)}${query({ limit: pageSize, labelSelector: scope.labels, continue: next })}`
      const page = await call<Page<T>>(
        { method: 'GET', path, timeoutMs: 60_000, ...options },
        intentOf('list', type, scope),
      )
      if (isExpired(page)) return 'expired'
      for (const item of page.items ?? []) items.push(item)
      next = page.metadata?.continue ?? ''
      if (next === '') return { items, resourceVersion: page.metadata?.resourceVersion ?? '' }
    }
  }

  function write<T extends KubernetesObject>(
    verb: string,
    method: 'POST' | 'PUT' | 'PATCH',
    type: ResourceType,
    object: T,
    {
      subresource,
      strict,
      more,
      contentType,
      ...options
    }: WriteOptions & { more?: Query; contentType?: string },
  ): Promise<T> {
    const { namespace, name } = object.metadata
    const at = { ...(namespace !== undefined && { namespace }), ...(method !== 'POST' && { name }) }
    return one<T>(
      {
        method,
        path: `${pathOf(type, at, subresource)}${query({ ...more, fieldValidation: strict ? 'Strict' : undefined })}`,
        body: { apiVersion: apiVersionOf(type), kind: type.kind, ...object },
        ...(contentType !== undefined && { contentType }),
        ...options,
      },
      intentOf(verb, type, { ...at, name }, subresource),
    )
  }

  return {
    async get<T extends KubernetesObject>(type: ResourceType, at: ObjectName, options: CallOptions = {}) {
      try {
        return await one<T>({ method: 'GET', path: pathOf(type, at), ...options }, intentOf('get', type, at))
      } catch (error) {
        if (isMooringError(error, 'NOT_FOUND')) return undefined
        throw error
      }
    },
    async list<T extends KubernetesObject>(type: ResourceType, scope: Scope = {}, options: CallOptions = {}) {
      for (let tries = 1; tries <= mostLists; tries += 1) {
        const listing = await listOnce<T>(type, scope, options)
        if (listing !== 'expired') return listing
      }
      throw refusal(intentOf('list', type, scope), { status: 410, body: '' }, unavailable)
    },
    create: (type, object, options = {}) => write('create', 'POST', type, object, options),
    replace: (type, object, options = {}) => write('update', 'PUT', type, object, options),
    apply: (type, object, { fieldManager, force, ...options }) =>
      write('patch', 'PATCH', type, object, {
        ...options,
        more: { fieldManager, force: String(force) },
        contentType: 'application/apply-patch+yaml',
      }),
    merge: (type, at, patch, { subresource, strict, ...options } = {}) =>
      one(
        {
          method: 'PATCH',
          path: `${pathOf(type, at, subresource)}${query({ fieldValidation: strict ? 'Strict' : undefined })}`,
          body: patch,
          contentType: 'application/merge-patch+json',
          ...options,
        },
        intentOf('patch', type, at, subresource),
      ),
    async remove(type, at, only, options = {}) {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Background',
        ...(only !== undefined && { preconditions: only }),
      }
      try {
        await one(
          { method: 'DELETE', path: pathOf(type, at), body, ...options },
          intentOf('delete', type, at),
        )
        return true
      } catch (error) {
        if (isMooringError(error, 'NOT_FOUND')) return false
        throw error
      }
    },
    post: (type, at, body, { subresource, strict: _, ...options } = {}) =>
      one(
        {
          method: 'POST',
          path: pathOf(type, at, subresource),
          body: { apiVersion: apiVersionOf(type), kind: type.kind, ...body },
          ...options,
        },
        intentOf('create', type, at, subresource),
      ),
    async watch(type, scope, from, signal) {
      const intent = intentOf('watch', type, scope)
      const path = `${pathOf(type, scope)}${query({
        watch: 'true',
        allowWatchBookmarks: 'true',
        labelSelector: scope.labels,
        resourceVersion: from.resourceVersion,
        timeoutSeconds: from.timeoutSeconds,
      })}`
      try {
        const answer = await connection.open({ method: 'GET', path, signal })
        if (answer.statusCode === 200) return answer
        if (answer.statusCode === 410) {
          answer.resume()
          return 'expired'
        }
        const body = await headOf(answer)
        throw refusal(
          intent,
          { status: answer.statusCode ?? 0, body, retryAfter: answer.headers['retry-after'] },
          unavailable,
        )
      } catch (error) {
        throw explained(error, intent, signal)
      }
    },
  }
}

interface Page<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items?: readonly T[]
}

function isExpired(answer: unknown): answer is { readonly status: 410 } {
  return typeof answer === 'object' && answer !== null && (answer as { status?: unknown }).status === 410
}

function intentOf(
  verb: string,
  type: ResourceType,
  at: Partial<ObjectName> & Scope,
  subresource?: string,
): Intent {
  return {
    verb,
    resource: subresource === undefined ? fullName(type) : `${fullName(type)}/${subresource}`,
    ...(at.namespace !== undefined && { namespace: at.namespace }),
    ...(at.name !== undefined && { name: at.name }),
  }
}

type Query = Readonly<Record<string, string | number | undefined>>

function query(values: Query): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  if (given.length === 0) return ''
  return `?${given.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&')}`
}

/** The beginning of a body: enough for a Status. */
async function headOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of answer as AsyncIterable<Buffer>) {
    text += part.toString('utf8')
    if (text.length > 65_536) break
  }
  answer.destroy()
  return text
}
