import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { KubernetesObject } from '../../controller/kubernetes/resource.ts'
import type { TestAuthority } from './authority.ts'

/** What the stand-in does wrong on purpose; may be changed at any time. */
export interface Faults {
  /** Answers every request that it returns a status for with it. */
  refuse?: ((method: string, path: string) => number | undefined) | undefined
  /** Requests are taken and never answered. */
  hang?: boolean
  /** Watches are accepted and say nothing. */
  mute?: boolean
  /** Versions up to this one are forgotten: watches from them get 410. */
  forgottenUpTo?: number
}

/**
 * A stand-in for kube-apiserver in memory: create, update with optimistic locking, the status subresource,
 * generation, delete with preconditions and finalizers, paged lists and watches behave as Kubernetes documents them. It knows any
 * kind, checks no schema, and can be made to fail. The real one runs in the end-to-end tests.
 */
export interface FakeApiServer {
  readonly url: string
  readonly kubeconfig: string
  readonly faults: Faults
  /** TLS connections accepted so far. */
  readonly connections: number
  /** `METHOD path` of every request so far, without the query. */
  readonly requests: readonly string[]
  /** Bytes of all bodies so far. */
  readonly received: number
  /** Names of all objects of a plural. */
  names(plural: string): readonly string[]
  /** Watches that are open now. */
  readonly watches: number
  /** Ends every watch in the middle of a line. */
  cutWatches(): void
  /** Sends a bookmark on every watch. */
  bookmark(): void
  close(): Promise<void>
}

type Stored = KubernetesObject & { spec?: unknown; status?: unknown; data?: unknown }
interface Event {
  readonly version: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly collection: string
  readonly object: Stored
}
interface Watcher {
  readonly place: Place
  readonly response: ServerResponse
}
interface Place {
  readonly collection: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
  readonly labels: string
}

export async function startApiServer(authority: TestAuthority, token = 'good-token'): Promise<FakeApiServer> {
  const pair = await authority.server({ addresses: ['127.0.0.1'] })
  const objects = new Map<string, Stored>()
  const events: Event[] = []
  const watchers = new Set<Watcher>()
  const requests: string[] = []
  const faults: Faults = {}
  let version = 100
  let uids = 0
  let connections = 0
  let received = 0

  function record(type: Event['type'], collection: string, object: Stored): void {
    const event = { version, type, collection, object }
    events.push(event)
    for (const watcher of watchers) tell(watcher, event)
  }

  function tell({ place, response }: Watcher, event: Event): void {
    if (faults.mute || event.collection !== place.collection || !isIn(place, event.object)) return
    response.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`)
  }

  function save(type: 'ADDED' | 'MODIFIED', key: string, collection: string, object: Stored): Stored {
    version += 1
    const saved = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
    objects.set(key, saved)
    record(type, collection, saved)
    return saved
  }

  function create(place: Place, body: Stored): [number, unknown] {
    const key = keyOf(place, body.metadata.name)
    if (objects.has(key)) return failure(409, 'AlreadyExists', place)
    uids += 1
    const { status: _, ...rest } = body
    const object = hasStatus(place) ? rest : body
    const metadata = {
      ...object.metadata,
      ...(place.namespace !== undefined && { namespace: place.namespace }),
      uid: `uid-${uids}`,
      generation: 1,
      creationTimestamp: new Date(1_800_000_000_000 + uids * 1000).toISOString().replace('.000', ''),
    }
    return [201, save('ADDED', key, place.collection, { ...object, metadata })]
  }

  function replace(place: Place, body: Stored): [number, unknown] {
    const key = keyOf(place, place.name)
    const old = objects.get(key)
    if (old === undefined) return failure(404, 'NotFound', place)
    const wanted = body.metadata.resourceVersion
    if (wanted !== undefined && wanted !== old.metadata.resourceVersion)
      return failure(409, 'Conflict', place)
    if (place.subresource === 'status') {
      return same(old.status, body.status)
        ? [200, old]
        : [200, save('MODIFIED', key, place.collection, { ...old, status: body.status })]
    }
    const { uid, creationTimestamp, deletionTimestamp, generation = 1 } = old.metadata
    const spec = same(old.spec, body.spec) ? generation : generation + 1
    const metadata = {
      ...body.metadata,
      uid: uid ?? '',
      creationTimestamp: creationTimestamp ?? '',
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      generation: spec,
    }
    if (deletionTimestamp !== undefined && (body.metadata.finalizers ?? []).length === 0) {
      return [200, destroy(key, place.collection, old)]
    }
    const status = hasStatus(place) ? old.status : body.status
    const next: Stored = { ...body, metadata, ...(status !== undefined && { status }) }
    const isSame = same(
      { ...old, metadata: { ...old.metadata, resourceVersion: '' } },
      {
        ...next,
        metadata: { ...metadata, resourceVersion: '' },
      },
    )
    return [200, isSame ? old : save('MODIFIED', key, place.collection, next)]
  }

  function remove(
    place: Place,
    body: { preconditions?: { uid?: string; resourceVersion?: string } },
  ): [number, unknown] {
    const key = keyOf(place, place.name)
    const old = objects.get(key)
    if (old === undefined) return failure(404, 'NotFound', place)
    const { uid, resourceVersion } = body.preconditions ?? {}
    const differs =
      (uid !== undefined && uid !== old.metadata.uid) ||
      (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
    if (differs) return failure(409, 'Conflict', place)
    if ((old.metadata.finalizers ?? []).length > 0) {
      const { deletionTimestamp = new Date(1_800_000_000_000).toISOString(), generation = 1 } = old.metadata
      const metadata = { ...old.metadata, deletionTimestamp, generation: generation + 1 }
      const isSame = old.metadata.deletionTimestamp !== undefined
      return [200, isSame ? old : save('MODIFIED', key, place.collection, { ...old, metadata })]
    }
    destroy(key, place.collection, old)
    return [200, { kind: 'Status', status: 'Success' }]
  }

  function destroy(key: string, collection: string, old: Stored): Stored {
    objects.delete(key)
    version += 1
    const gone = { ...old, metadata: { ...old.metadata, resourceVersion: String(version) } }
    record('DELETED', collection, gone)
    return gone
  }

  function list(place: Place, query: URLSearchParams): [number, unknown] {
    const all = [...objects]
      .filter(([key, object]) => key.startsWith(`${place.collection}|`) && isIn(place, object))
      .map(([, object]) => object)
    const limit = Number(query.get('limit') ?? all.length)
    const start = Number(query.get('continue') ?? 0)
    const items = all.slice(start, start + limit)
    const next = start + limit < all.length ? { continue: String(start + limit) } : {}
    return [200, { kind: 'List', metadata: { resourceVersion: String(version), ...next }, items }]
  }

  function watch(place: Place, query: URLSearchParams, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion') ?? 0)
    if (from <= (faults.forgottenUpTo ?? 0)) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' }
      response.writeHead(200).end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const watcher = { place, response }
    watchers.add(watcher)
    response.on('close', () => watchers.delete(watcher))
    for (const event of events) if (event.version > from) tell(watcher, event)
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://localhost')
    const method = request.method ?? 'GET'
    requests.push(`${method} ${url.pathname}`)
    let text = ''
    for await (const part of request) text += part
    received += text.length
    if (faults.hang) return
    const place = placeOf(url)
    const refused = faults.refuse?.(method, url.pathname)
    if (refused !== undefined) return send(response, failure(refused, 'Faulty', place))
    if (request.headers.authorization !== `Bearer ${token}`)
      return send(response, failure(401, 'Unauthorized', place))
    if (url.searchParams.get('watch') === 'true') return watch(place, url.searchParams, response)
    const body = text === '' ? {} : JSON.parse(text)
    if (method === 'POST') return send(response, create(place, body))
    if (method === 'PUT') return send(response, replace(place, body))
    if (method === 'DELETE') return send(response, remove(place, body))
    if (place.name === undefined) return send(response, list(place, url.searchParams))
    const found = objects.get(keyOf(place, place.name))
    send(response, found === undefined ? failure(404, 'NotFound', place) : [200, found])
  }

  const server: Server = createServer({ cert: pair.certificate, key: pair.key }, (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  server.on('secureConnection', () => {
    connections += 1
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const named = { name: 'test' }
  const ca = Buffer.from(authority.certificate).toString('base64')

  return {
    url,
    faults,
    requests,
    kubeconfig: JSON.stringify({
      clusters: [{ ...named, cluster: { server: url, 'certificate-authority-data': ca } }],
      users: [{ ...named, user: { token } }],
      contexts: [{ ...named, context: { cluster: 'test', user: 'test', namespace: 'mooring-system' } }],
      'current-context': 'test',
    }),
    get connections() {
      return connections
    },
    get received() {
      return received
    },
    names: (plural) =>
      [...objects].filter(([key]) => key.includes(`/${plural}|`)).map(([, { metadata }]) => metadata.name),
    get watches() {
      return watchers.size
    },
    cutWatches() {
      for (const { response } of watchers) response.write('{"type":"ADD', () => response.destroy())
    },
    bookmark() {
      const object = { metadata: { resourceVersion: String(version) } }
      for (const { response } of watchers) response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function placeOf(url: URL): Place {
  const parts = url.pathname.split('/').filter((part) => part !== '')
  const group = parts.splice(0, parts[0] === 'api' ? 2 : 3)
  const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts.splice(0, 2)[1] : undefined
  const [plural = '', name, subresource] = parts
  return {
    collection: [...group, plural].join('/'),
    namespace,
    name,
    subresource,
    labels: url.searchParams.get('labelSelector') ?? '',
  }
}

function keyOf(place: Place, name: string | undefined): string {
  return `${place.collection}|${place.namespace ?? ''}|${name}`
}

/** `a=b,c in (d,e)` is more than is needed: `key=value` and a bare `key`. */
function isIn({ namespace, labels }: Place, { metadata }: KubernetesObject): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false
  return labels.split(',').every((term) => {
    const [key = '', value] = term.split('=')
    return (
      key === '' ||
      (value === undefined ? metadata.labels?.[key] !== undefined : metadata.labels?.[key] === value)
    )
  })
}

function hasStatus({ collection }: Place): boolean {
  return collection.startsWith('apis/mesh.mooring/')
}

function failure(code: number, reason: string, { collection, name }: Place): [number, unknown] {
  const kind = collection.split('/').at(-1)
  return [
    code,
    { kind: 'Status', status: 'Failure', code, reason, message: reason, details: { kind, name: name ?? '' } },
  ]
}

function send(response: ServerResponse, [status, body]: [number, unknown]): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function same(a: unknown, b: unknown): boolean {
  return sorted(a) === sorted(b)
}

function sorted(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? ''
  )
}
