import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import rateLimit from '@fastify/rate-limit'
import websocket from '@fastify/websocket'
import { type FastifyError, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { Value } from 'typebox/value'
import { limits as wireLimits } from '../shared/api/wire.ts'
import { errorText, MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { App } from './api/app.ts'
import { securityHeaders } from './api/headers.ts'
import { describe } from './api/openapi.ts'
import { asMooringError, problemOf, problemType, retryAfter, schemaError } from './api/problem.ts'
import { type RoutesDeps, routes } from './api/routes.ts'
import { createGate, type GateDeps } from './auth/gate.ts'
import type { Access } from './auth/policy.ts'
import type { Metrics } from './metrics.ts'
import type { ServerCredentials } from './pki/server-certificate.ts'

export interface ServerLimits {
  /** Failed authentications of one source in a minute. */
  readonly failuresPerMinute: number
  readonly connections: number
  /** For the TLS handshake, and then for the headers of a request. */
  readonly headersMs: number
  readonly requestMs: number
  /** A connection on which nothing moves for this long is closed. */
  readonly idleMs: number
}

export interface ServerDeps {
  readonly credentials: () => ServerCredentials
  /** PEM: issuers of the agents' certificates. */
  readonly agentCa: () => string
  readonly gate: Omit<GateDeps, 'failed'>
  readonly routes: RoutesDeps
  readonly limits: ServerLimits
  readonly metrics: Metrics
  readonly log: Log
  readonly random: () => number
}

export interface RouteRule {
  readonly method: string
  readonly url: string
  readonly access: Access
}

/** The controller's one door. */
export interface ControllerServer {
  readonly app: App
  /** Every route and who may call it. */
  readonly rules: readonly RouteRule[]
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>
  /** Puts the server certificate and the issuers of agents' certificates in force as they are now, for new connections. */
  refresh(): void
  close(): Promise<void>
}

/** Builds the HTTPS listener with everything that stands before the routes, and the routes. */
export async function createServer(deps: ServerDeps): Promise<ControllerServer> {
  const { agentCa, limits, metrics, log, random } = deps
  const rules: RouteRule[] = []
  const tls = () => {
    const { key, chain } = deps.credentials()
    return { key, cert: chain, ca: agentCa(), minVersion: 'TLSv1.2' } as const
  }

  const app = fastify({
    https: {
      ...tls(),
      // Agents have a certificate, operators and joiners have none: the gate tells them apart, per route.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: limits.headersMs,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      // How often time-outs are looked for; Node's own 30 s would make them that much longer.
      connectionsCheckingInterval: Math.min(5_000, limits.headersMs / 2),
      maxHeaderSize: 16 * 1024,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    },
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: Math.min(72_000, limits.idleMs),
    bodyLimit: wireLimits.operator,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    logger: false,
    genReqId: () => randomBytes(8).toString('hex'),
    requestIdHeader: false,
    ajv: { customOptions: { strict: true, coerceTypes: false, removeAdditional: false, useDefaults: false } },
    schemaErrorFormatter: (faults, part) => schemaError(faults, part),
    frameworkErrors: (error, request, reply) => answer(error, request as never, reply as never),
    clientErrorHandler,
  }) as unknown as App
  app.server.maxConnections = limits.connections
  app.server.on('tlsClientError', (error: Error, socket: Socket) => {
    log.debug('TLS handshake failed', { peer: socket.remoteAddress, error: errorText(error) })
    socket.destroy()
  })

  // JSON is the only body that any route reads; the framework would take plain text too.
  app.removeContentTypeParser('text/plain')
  // Bodies of answers are made field by field from known values; schemas describe them, and tests compare.
  app.setSerializerCompiler(() => (body) => JSON.stringify(body))
  app.setErrorHandler((error: FastifyError | MooringError, request, reply) => answer(error, request, reply))
  app.setNotFoundHandler((request, reply) =>
    answer(new MooringError('NOT_FOUND', { detail: `${request.method} ${pathOf(request)}` }), request, reply),
  )
  app.decorateRequest('principal', null)
  app.decorateRequest('agent', null)

  app.addHook('onRoute', (route) => {
    const access = route.config?.access
    if (access === undefined)
      throw new MooringError('INTERNAL', { detail: `${route.url} has no access rule` })
    for (const method of [route.method].flat()) rules.push({ method, url: route.url, access })
  })
  await app.register(rateLimit, {
    global: false,
    cache: 10_000,
    ipv6Subnet: 64,
    errorResponseBuilder: (_request, { ttl }) =>
      new MooringError('RATE_LIMITED', { retryAfterSeconds: Math.ceil(ttl / 1000) }),
  })
  await app.register(websocket, {
    options: { maxPayload: wireLimits.streamMessage, perMessageDeflate: false },
    preClose: (done: () => void) => {
      for (const client of app.websocketServer.clients) client.terminate()
      app.websocketServer.close(() => done())
    },
  })
  await describe(app)

  const countFailure = app.createRateLimit({
    max: limits.failuresPerMinute,
    timeWindow: 60_000,
    ipv6Subnet: 64,
  })
  const gate = createGate({
    ...deps.gate,
    async failed(request) {
      const result = await countFailure(request)
      if (!result.isAllowed && result.isExceeded) {
        throw new MooringError('RATE_LIMITED', { retryAfterSeconds: result.ttlInSeconds })
      }
    },
  })
  app.addHook('onRequest', (request) => gate.admit(request))
  app.addHook('preValidation', async (request) => {
    const query = request.routeOptions.schema?.querystring
    // A query is text; its schema says what is meant.
    if (query !== undefined) request.query = Value.Convert(query as never, request.query)
  })
  app.addHook('preHandler', (request) => gate.cover(request))
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({ ...securityHeaders, 'cache-control': 'no-store' })
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    const seconds = reply.elapsedTime / 1000
    metrics.count('mooring_http_requests_total', {
      method: request.method,
      route,
      status: String(reply.statusCode),
    })
    metrics.observe('mooring_http_request_seconds', { method: request.method, route }, seconds)
    log.debug('request', {
      id: request.id,
      method: request.method,
      route,
      status: reply.statusCode,
      seconds,
      peer: request.ip,
    })
  })
  routes(app, deps.routes)
  await app.ready()

  function answer(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const known = asMooringError(error)
    if (known.code === 'INTERNAL') {
      log.error('a request failed unexpectedly', {
        id: request.id,
        method: request.method,
        route: request.routeOptions?.url,
        error: errorText(known.cause ?? known),
        stack: known.cause instanceof Error ? known.cause.stack : known.stack,
      })
    }
    metrics.count('mooring_http_refused_total', { code: known.code })
    const seconds = retryAfter(known, random)
    if (seconds !== undefined) reply.header('retry-after', seconds)
    if (known.status === 401) reply.header('www-authenticate', 'Bearer')
    const problem = problemOf(known, request.id)
    return reply.code(problem.status).type(problemType).send(problem)
  }

  /** What cannot even be read as HTTP. */
  function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const [status, code] =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? ([431, 'REQUEST_TOO_LARGE'] as const)
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? ([408, 'REQUEST_INVALID'] as const)
          : ([400, 'REQUEST_INVALID'] as const)
    const detail = status === 408 ? 'it did not arrive in time' : 'it is not HTTP'
    const problem = {
      ...problemOf(new MooringError(code, { detail }), randomBytes(8).toString('hex')),
      status,
    }
    const body = JSON.stringify(problem)
    metrics.count('mooring_http_refused_total', { code })
    socket.end(
      `HTTP/1.1 ${status} Refused\r\nContent-Type: ${problemType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )
  }

  return {
    app,
    rules,
    async listen(host, port) {
      await app.listen({ host, port, backlog: 1024 })
      const address = app.server.address()
      return typeof address === 'object' && address !== null ? address.port : port
    },
    refresh: () => app.server.setSecureContext(tls()),
    close: () => app.close(),
  }
}

function pathOf(request: FastifyRequest): string {
  return (request.url.split('?')[0] ?? '').slice(0, 200)
}
