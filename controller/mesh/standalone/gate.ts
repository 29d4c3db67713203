import { connect, createServer, isIP, type Server, type Socket } from 'node:net'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'

export interface GateDeps {
  /** Addresses to listen on, such as `0.0.0.0` and `::`. */
  readonly hosts: readonly string[]
  readonly port: number
  /** Connections at a time. @defaultValue 8192 */
  readonly maxConnections?: number
  /** Connections of one address at a time. @defaultValue 256 */
  readonly maxPerAddress?: number
  readonly log: Log
}

/**
 * The mesh's public door: hands TCP connections on to istiod's loopback port, TLS and all, and looks at
 * nothing. While it is closed a sidecar finds no listener and keeps the configuration it has.
 */
export interface Gate {
  /** Opens it towards `upstream`, a loopback port. */
  open(upstream: number): Promise<void>
  /** Takes no new connection; those that are there end with istiod. */
  close(): Promise<void>
  isOpen(): boolean
  connections(): number
  /** Addresses that are turned away from now on, and cut off: evicted VMs must not renew certificates. */
  deny(addresses: ReadonlySet<string>): void
  /** Closes it and cuts every connection. */
  end(): Promise<void>
}

const connectTimeoutMs = 5_000
const keepAliveMs = 15_000

export function createGate(deps: GateDeps): Gate {
  const { hosts, port, maxConnections = 8192, maxPerAddress = 256, log } = deps
  const clients = new Map<Socket, string>()
  const perAddress = new Map<string, number>()
  let denied: ReadonlySet<string> = new Set()
  let servers: Server[] = []

  function admit(client: Socket, upstreamPort: number): void {
    const address = plainAddress(client.remoteAddress)
    const count = perAddress.get(address) ?? 0
    if (address === '' || denied.has(address) || count >= maxPerAddress || clients.size >= maxConnections) {
      client.destroy()
      return
    }
    clients.set(client, address)
    perAddress.set(address, count + 1)
    const upstream = connect({
      host: '127.0.0.1',
      port: upstreamPort,
      allowHalfOpen: true,
      noDelay: true,
    })
    // Until it is connected; later silence is normal.
    upstream.setTimeout(connectTimeoutMs, () => upstream.destroy())
    upstream.once('connect', () => upstream.setTimeout(0))
    client.setNoDelay(true)
    // A VM without power never says that it is gone.
    client.setKeepAlive(true, keepAliveMs)
    // `pipe` waits for the slower side, and passes the end of one direction on alone.
    client.pipe(upstream).pipe(client)
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      socket.on('error', end)
      socket.once('close', end)
    }
    client.once('close', () => {
      clients.delete(client)
      const left = (perAddress.get(address) ?? 1) - 1
      if (left > 0) perAddress.set(address, left)
      else perAddress.delete(address)
    })
  }

  async function close(): Promise<void> {
    const closing = servers
    servers = []
    // A server's own `close` callback waits for its connections, which may outlive it here.
    for (const server of closing) server.close()
  }

  return {
    async open(upstream) {
      await close()
      const opened: Server[] = []
      try {
        for (const host of hosts) {
          opened.push(await listen(host, port, (client) => admit(client, upstream)))
        }
      } catch (error) {
        for (const server of opened) server.close()
        throw new MooringError('MESH_UNAVAILABLE', {
          detail: `port ${port} cannot be opened: ${errorText(error)}`,
          cause: error,
        })
      }
      servers = opened
      for (const server of opened) {
        server.on('error', (error) => log.error('gate failed', { error: errorText(error) }))
      }
    },
    close,
    isOpen: () => servers.length > 0,
    connections: () => clients.size,
    deny(addresses) {
      denied = new Set([...addresses].map(plainAddress))
      for (const [client, address] of clients) if (denied.has(address)) client.destroy()
    },
    async end() {
      await close()
      for (const client of clients.keys()) client.destroy()
    },
  }
}

function listen(host: string, port: number, onClient: (client: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, onClient)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, ipv6Only: host === '::' }, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

/** An IPv4 address that came in over IPv6 (RFC 4291, 2.5.5.2) as itself; empty when there is none. */
function plainAddress(address: string | undefined): string {
  const text = (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  return isIP(text) === 0 ? '' : text.toLowerCase()
}
