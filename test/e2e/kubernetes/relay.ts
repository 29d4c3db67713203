import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Cluster } from '../../testbed/kubernetes/cluster.ts'

/** A way to the API server on which connections are counted, and cut as a network cuts them. */
export interface Relay {
  /** Path of the admin's kubeconfig by this way. */
  readonly kubeconfig: string
  /** Connections so far. */
  readonly accepted: number
  /** Ends all that are open, in the middle of whatever they carry. */
  cut(): void
  /** Whether new ones are refused. */
  closed: boolean
  close(): Promise<void>
}

/** Starts a relay on loopback; TLS goes through it from end to end. */
export async function startRelay(cluster: Cluster): Promise<Relay> {
  const target = new URL(cluster.url)
  const open = new Set<Socket>()
  let accepted = 0
  let closed = false
  const server = createServer((near) => {
    if (closed) return void near.resetAndDestroy()
    accepted += 1
    const far = connect(Number(target.port), target.hostname)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const text = (await readFile(cluster.kubeconfig, 'utf8')).replace(cluster.url, `https://127.0.0.1:${port}`)
  const kubeconfig = `${cluster.kubeconfig}-relay-${port}`
  await writeFile(kubeconfig, text, { mode: 0o600 })
  return {
    kubeconfig,
    get accepted() {
      return accepted
    },
    cut() {
      for (const socket of open) socket.resetAndDestroy()
    },
    get closed() {
      return closed
    },
    set closed(value) {
      closed = value
    },
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
