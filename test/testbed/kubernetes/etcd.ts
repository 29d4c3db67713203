import { join } from 'node:path'
import type { Namespace } from '../network/namespace.ts'
import { createProgram, type Program } from './program.ts'

export interface EtcdDeps {
  readonly host: Namespace
  readonly etcd: string
  /** Gets its data and its log. */
  readonly dir: string
  /** Its clients' port; its own is the next one. */
  readonly port: number
  readonly signal?: AbortSignal | undefined
}

/** etcd of one member on loopback of the host; its data outlives its process. */
export function createEtcd(deps: EtcdDeps): Program & { readonly url: string } {
  const { host, dir, port } = deps
  const url = `http://127.0.0.1:${port}`
  const peers = `http://127.0.0.1:${port + 1}`
  const program = createProgram({
    name: 'etcd',
    namespace: host,
    command: deps.etcd,
    args: [
      ...['--data-dir', join(dir, 'etcd')],
      ...['--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peers],
      ...['--initial-advertise-peer-urls', peers, '--initial-cluster', `default=${peers}`],
      // A testbed never outlives its machine, and half a dozen of them share one disk.
      '--unsafe-no-fsync',
    ],
    logFile: join(dir, 'etcd.log'),
    isReady: async () => (await host.exec('curl', ['--silent', '--fail', `${url}/health`])).code === 0,
    signal: deps.signal,
  })
  return Object.assign(program, { url })
}
