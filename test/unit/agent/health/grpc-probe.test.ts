import { once } from 'node:events'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer as createTcp } from 'node:net'
import t, { type Test } from 'tap'
import { servingStatus } from '../../../../agent/health/grpc-health.ts'
import { probeByGrpc } from '../../../../agent/health/grpc-probe.ts'

const { signal } = new AbortController()

interface Asked {
  readonly path: string
  readonly type: string
  readonly te: string
  readonly body: string
}

/** A gRPC server of HTTP/2 in plain text whose answers the test writes. */
async function serve(t: Test, answer: (stream: ServerHttp2Stream) => void) {
  const asked: Asked[] = []
  const server = createServer()
  server.on('session', (session) => t.teardown(() => session.destroy()))
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      asked.push({
        path: String(headers[':path']),
        type: String(headers['content-type']),
        te: String(headers.te),
        body: Buffer.concat(parts).toString('hex'),
      })
      answer(stream)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { asked, port: (server.address() as AddressInfo).port }
}

function grpc(stream: ServerHttp2Stream, hex: string, code: string): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code }))
  stream.end(Buffer.from(hex, 'hex'))
}

t.test('SERVING is well, every other status is not', async (t) => {
  let hex = '00000000020801'
  const { asked, port } = await serve(t, (stream) => grpc(stream, hex, '0'))
  t.same(await probeByGrpc('127.0.0.1', { port, service: 'shop.Cart' }, signal), {
    ok: true,
    detail: 'says SERVING',
  })
  t.same(asked, [
    {
      path: '/grpc.health.v1.Health/Check',
      type: 'application/grpc',
      te: 'trailers',
      body: '000000000b0a0973686f702e43617274',
    },
  ])
  hex = '00000000020802'
  t.equal(servingStatus(Buffer.from(hex, 'hex')), 'NOT_SERVING')
  t.same(await probeByGrpc('127.0.0.1', { port }, signal), { ok: false, detail: 'says NOT_SERVING' })
  t.equal(asked[1]?.body, '0000000000', 'no service is the empty message')
})

t.test('a server that has no such service, or speaks no gRPC, is said in words', async (t) => {
  let answer = (stream: ServerHttp2Stream) =>
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
      { endStream: true },
    )
  const { port } = await serve(t, (stream) => answer(stream))
  t.match(await probeByGrpc('127.0.0.1', { port }, signal), { ok: false, detail: /has no health service/ })
  answer = (stream) =>
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' },
      { endStream: true },
    )
  t.match(await probeByGrpc('127.0.0.1', { port }, signal), {
    ok: false,
    detail: /does not know the service/,
  })
  answer = (stream) => stream.respond({ ':status': 404 }, { endStream: true })
  t.match(await probeByGrpc('127.0.0.1', { port }, signal), {
    ok: false,
    detail: 'answered 404 instead of gRPC',
  })
  const long = '00'.repeat(5000)
  answer = (stream) => grpc(stream, long, '0')
  t.match(await probeByGrpc('127.0.0.1', { port }, signal), { ok: false, detail: /longer than/ })
})

t.test('a closed port, another protocol and an abort are errors', async (t) => {
  await t.rejects(probeByGrpc('127.0.0.1', { port: 1 }, signal), { code: 'ECONNREFUSED' })
  const other = createTcp((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  await t.rejects(probeByGrpc('127.0.0.1', { port: (other.address() as AddressInfo).port }, signal), Error)
  const { port } = await serve(t, () => {})
  const stop = new AbortController()
  const asked = probeByGrpc('127.0.0.1', { port }, stop.signal)
  stop.abort(new Error('stopped'))
  await t.rejects(asked, { message: 'stopped' })
})
