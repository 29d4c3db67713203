/**
 * An application that knows grpc.health.v1.Health and nothing else: `node grpc-health-server.ts --port 9090
 * --service shop.Cart --file FILE`. The file holds the number of its status (1 is SERVING) and is read at every request.
 */
import { readFileSync } from 'node:fs'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import { parseArgs } from 'node:util'
import { createFrameReader, encodeFrame } from './grpc-frames.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '9090' },
    service: { type: 'string', default: '' },
    file: { type: 'string', default: '' },
  },
})

/** Field 1 of HealthCheckRequest, a string, and field 1 of HealthCheckResponse, a number. */
const fields = { service: 0x0a, status: 0x08 } as const

const server = createServer()
server.on('sessionError', () => {})
server.on('stream', (stream: ServerHttp2Stream, headers) => {
  stream.on('error', () => {})
  const refuse = (code: string) =>
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': code },
      { endStream: true },
    )
  if (headers[':path'] !== '/grpc.health.v1.Health/Check') return refuse('12')
  const reader = createFrameReader()
  stream.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      const asked = message[0] === fields.service ? message.toString('utf8', 2) : ''
      if (asked !== values.service) return refuse('5')
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(encodeFrame(Buffer.from([fields.status, Number(readFileSync(values.file, 'utf8'))])))
    }
  })
})
server.listen(Number(values.port), '127.0.0.1')
