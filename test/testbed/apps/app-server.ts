/**
 * An application for VMs of the testbed: `node app-server.ts --name a [--http 8080] [--http2 8081] [--tcp 8082]`.
 *
 * It prints one JSON line when it listens, and on SIGTERM stops taking connections, lets open requests finish for
 * `--grace-ms`, and exits 0. Port 0 takes a free one; `off` leaves that protocol out. gRPC is
 * served beside plain requests on the HTTP/2 port.
 */
import type { AddressInfo, Server, Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { createAppHttp } from './app-http.ts'
import { createAppHttp2 } from './app-http2.ts'
import { createAppTcp } from './app-tcp.ts'

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'app' },
    bind: { type: 'string', default: '0.0.0.0' },
    http: { type: 'string', default: '8080' },
    http2: { type: 'string', default: '8081' },
    tcp: { type: 'string', default: '8082' },
    'grace-ms': { type: 'string', default: '10000' },
  },
})

const instance = values.name
const servers = {
  http: createAppHttp({ instance }),
  http2: createAppHttp2({ instance }) as Server,
  tcp: createAppTcp({ instance }),
}
const sockets = new Set<Socket>()
const ports: Record<string, number> = {}

for (const [protocol, server] of Object.entries(servers)) {
  const port = values[protocol as keyof typeof servers]
  if (port === 'off') continue
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(Number(port), values.bind, resolve)
  })
  ports[protocol] = (server.address() as AddressInfo).port
}
console.log(JSON.stringify({ event: 'listening', instance, pid: process.pid, ...ports }))

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    for (const protocol of Object.keys(ports)) servers[protocol as keyof typeof servers].close()
    servers.http.closeIdleConnections()
    const end = () => process.exit(0)
    setTimeout(end, Number(values['grace-ms'])).unref()
    // An idle HTTP/2 session and an idle TCP connection stay open until the other side goes: look for any left.
    setInterval(() => sockets.size === 0 && end(), 50)
  })
