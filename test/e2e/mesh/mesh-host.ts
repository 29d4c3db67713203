import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { IstioObject, Mesh, MeshFacts, ObjectRef } from '../../../controller/mesh/mesh.ts'
import type { Network } from '../../testbed/network/network.ts'

const program = fileURLToPath(new URL('mesh-process.ts', import.meta.url))

/** The mesh process on a network's host. */
export interface MeshHost {
  readonly pid: number
  /** The folder of the mesh. */
  readonly folder: string
  start(): Promise<void>
  apply(...objects: readonly IstioObject[]): Promise<void>
  remove(ref: ObjectRef): Promise<void>
  list(): Promise<readonly IstioObject[]>
  taken(ref: ObjectRef): Promise<void>
  facts(): Promise<MeshFacts>
  health(): Promise<ReturnType<Mesh['health']>>
  declare(...identities: readonly string[]): Promise<void>
  mint(namespace: string, serviceAccount: string): Promise<{ token: string; expiresAt: number }>
  istiodPid(): Promise<number>
  /** Waits for the gate; what istiod served at that moment. */
  firstEntrance(): Promise<{ services: number; endpoints: number; objects: number }>
  close(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
}

export async function startMeshHost(network: Network, istiod: string): Promise<MeshHost> {
  const folder = join(network.hostDir, 'mesh')
  await mkdir(folder, { recursive: true })
  const child = network.host.spawn(process.execPath, [program, folder, istiod, network.hostAddress], {
    stdio: ['pipe', 'pipe', openSync(join(network.hostDir, 'mesh.log'), 'a')],
  })
  const { pid, stdin, stdout } = child
  if (pid === undefined || stdin === null || stdout === null) throw new Error('the mesh does not start')
  const exited = once(child, 'exit')
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  let lastId = 0
  stdin.on('error', () => undefined)
  createInterface({ input: stdout }).on('line', (line) => {
    const { id, result, error } = JSON.parse(line)
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(result)
    else call?.reject(Object.assign(new Error(error.text), { code: error.code }))
  })
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error('the mesh process has ended'))
  })

  // biome-ignore lint/suspicious/noExplicitAny: each operation has a result of its own
  function call(op: string, input: object = {}): Promise<any> {
    lastId += 1
    const id = lastId
    const answer = new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      stdin?.write(`${JSON.stringify({ id, op, ...input })}\n`)
    })
    // A call that is not awaited any more when the process is killed must not fail the test.
    answer.catch(() => undefined)
    return answer
  }

  return {
    pid,
    folder,
    start: () => call('start'),
    apply: (...objects) => call('apply', { objects }),
    remove: (ref) => call('remove', { ref }),
    list: () => call('list'),
    taken: (ref) => call('taken', { ref }),
    facts: () => call('facts'),
    health: () => call('health'),
    declare: (...declared) => call('declare', { declared }),
    mint: (namespace, serviceAccount) =>
      call('mint', { request: { namespace, serviceAccount, vm: 'vm', ttlSeconds: 3600 } }),
    istiodPid: () => call('istiodPid'),
    firstEntrance: () => call('firstEntrance'),
    async close() {
      stdin.end()
      await exited
    },
    async kill() {
      process.kill(pid, 'SIGKILL')
      await exited
    },
  }
}
