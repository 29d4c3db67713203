import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export interface AppHttpDeps {
  readonly instance: string
}

const chunkBytes = 16 * 1024
const chunksPerSecond = 10

/**
 * The application's HTTP/1.1 side.
 *
 * `GET /` says who answers and whom the sidecar says is calling; `/slow?ms=` does so late; `/download?seconds=` sends a
 * body of known length slowly; `/health` answers 200, or 503 after `POST /health/fail` until `POST /health/ok`.
 */
export function createAppHttp(deps: AppHttpDeps): Server {
  let healthy = true

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://app')
    if (request.method === 'POST' && url.pathname.startsWith('/health/'))
      healthy = url.pathname === '/health/ok'
    const status = url.pathname.startsWith('/health') && !healthy && request.method === 'GET' ? 503 : 200
    if (url.pathname === '/download')
      return sendSlowly(deps, response, Number(url.searchParams.get('seconds') ?? 1))
    const delay = url.pathname === '/slow' ? Number(url.searchParams.get('ms') ?? 0) : 0
    // A request's body is read to its end, or the connection could not be used again.
    request.resume().once('end', () => {
      if (delay > 0) setTimeout(() => answer(deps, request, response, status, url.pathname), delay)
      else answer(deps, request, response, status, url.pathname)
    })
  })
  // Node ends idle connections after 5 s, just when a sidecar may send the next request on one: the resets that this
  // gives would be the application's doing, and are not what is measured here.
  server.keepAliveTimeout = 0
  server.headersTimeout = 0
  server.requestTimeout = 0
  return server
}

function answer(
  { instance }: AppHttpDeps,
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  path: string,
): void {
  const clientCert = request.headers['x-forwarded-client-cert']
  const seen = Array.isArray(clientCert) ? clientCert.join(',') : clientCert
  const body = JSON.stringify({
    instance,
    path,
    protocol: `HTTP/${request.httpVersion}`,
    clientCert: seen ?? null,
  })
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-instance': instance,
    ...(seen === undefined ? {} : { 'x-forwarded-client-cert': seen }),
  })
  response.end(body)
}

function sendSlowly({ instance }: AppHttpDeps, response: ServerResponse, seconds: number): void {
  const chunk = Buffer.alloc(chunkBytes, 'm')
  let left = Math.max(1, Math.round(seconds * chunksPerSecond))
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': left * chunkBytes,
    'x-instance': instance,
  })
  const timer = setInterval(() => {
    left--
    if (left > 0) response.write(chunk)
    else {
      clearInterval(timer)
      response.end(chunk)
    }
  }, 1000 / chunksPerSecond)
  response.once('close', () => clearInterval(timer))
}
