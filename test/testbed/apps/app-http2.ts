import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { createFrameReader, encodeFrame } from './grpc-frames.ts'

export interface AppHttp2Deps {
  readonly instance: string
}

/** The path of the gRPC method that sends a message every `intervalMs` for `ms`, both in its JSON request message. */
export const ticksPath = '/mooring.test.Stream/Ticks'

/** The application's cleartext HTTP/2 side (prior knowledge): plain requests and a gRPC stream. */
export function createAppHttp2(deps: AppHttp2Deps): Http2Server {
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    // A reset by the caller is the caller's business; without a listener it would end the process.
    stream.on('error', () => {})
    const isGrpc = headers['content-type']?.startsWith('application/grpc') === true
    if (isGrpc) serveGrpc(deps, stream, headers)
    else servePlain(deps, stream, headers)
  })
  server.on('sessionError', () => {})
  return server
}

function servePlain(
  { instance }: AppHttp2Deps,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  const url = new URL(headers[':path'] ?? '/', 'http://app')
  const clientCert = headers['x-forwarded-client-cert'] ?? null
  const send = () => {
    if (stream.destroyed) return
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'x-instance': instance })
    stream.end(JSON.stringify({ instance, path: url.pathname, protocol: 'HTTP/2', clientCert }))
  }
  stream.resume()
  if (url.pathname === '/slow') setTimeout(send, Number(url.searchParams.get('ms') ?? 0))
  else send()
}

function serveGrpc(
  { instance }: AppHttp2Deps,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  if (headers[':path'] !== ticksPath) {
    const trailersOnly = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }
    stream.respond(trailersOnly, { endStream: true })
    return
  }
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'x-instance': instance },
    { waitForTrailers: true },
  )
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  const reader = createFrameReader()
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) tick(instance, stream, JSON.parse(message.toString()))
  })
}

function tick(instance: string, stream: ServerHttp2Stream, asked: { ms: number; intervalMs?: number }): void {
  const end = performance.now() + asked.ms
  let n = 0
  const send = () => {
    if (stream.destroyed) return clearInterval(timer)
    stream.write(encodeFrame(Buffer.from(JSON.stringify({ instance, n: n++ }))))
    if (performance.now() < end) return
    clearInterval(timer)
    stream.end()
  }
  const timer = setInterval(send, asked.intervalMs ?? 50)
  send()
}
