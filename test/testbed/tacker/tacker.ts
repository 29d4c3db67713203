import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createProgram, type Program } from '../kubernetes/program.ts'
import type { Network } from '../network/network.ts'
import type { TackerParts } from '../parts/tacker.ts'
import { TestbedError } from '../testbed-error.ts'
import { createBroker } from './broker.ts'
import { schemaScript, type TackerSettings, tackerSettings } from './settings.ts'

/** A real Tacker, whose cloud is whatever answers at its Identity service. */
export interface Tacker {
  /** Of both interfaces, as it is reached from where tests run. */
  readonly url: string
  readonly server: Program
  readonly conductor: Program
  /** Ends its programs; its files stay until the network closes. */
  stop(): Promise<void>
}

export interface TackerDeps extends Pick<TackerSettings, 'keystone' | 'user'> {
  readonly network: Network
  readonly parts: TackerParts
  readonly signal?: AbortSignal
}

const apiPort = 9890
const brokerPort = 5672
const schemaLimitMs = 180_000

/** Starts broker, server and conductor on the host of a network, and returns when the interfaces answer. */
export async function startTacker(deps: TackerDeps): Promise<Tacker> {
  const { network, parts, keystone, user, signal } = deps
  const { host } = network
  const dir = join(network.tempDir, 'tacker')
  for (const folder of ['lock', 'coordination', 'csar', 'packages', 'keys'])
    await mkdir(join(dir, 'state', folder), { recursive: true })
  await copyFile(join(parts.tacker, 'etc/tacker/api-paste.ini'), join(dir, 'api-paste.ini'))
  const config = join(dir, 'tacker.conf')
  await writeFile(config, tackerSettings({ dir, apiPort, brokerPort, keystone, user }))
  const env = { PATH: process.env.PATH ?? '', HOME: dir, LANG: 'C.UTF-8', PYTHONPATH: parts.tacker }
  const made = await host.exec(parts.python, ['-c', schemaScript, config], { env, timeoutMs: schemaLimitMs })
  if (made.code !== 0)
    throw new TestbedError('PROGRAM_FAILED', `Tacker's tables\n${made.stderr.slice(-2000)}`)

  const url = `http://${network.uplink.inside}:${apiPort}`
  const program = (name: 'tacker-server' | 'tacker-conductor', isReady: () => Promise<boolean>) =>
    createProgram({
      name,
      namespace: host,
      command: parts.python,
      args: [join(parts.tacker, 'bin', name), '--config-file', config],
      env,
      logFile: join(dir, `${name}.log`),
      isReady,
      signal,
    })
  const server = program('tacker-server', async () => (await fetch(`${url}/`)).ok)
  // It has three consumers at the broker when it takes work.
  const consumers = ['-Htn', 'state', 'established', `( dport = :${brokerPort} )`]
  const connections = async () => (await host.exec('ss', consumers)).stdout.trim().split('\n').filter(Boolean)
  let before = 0
  const conductor = program('tacker-conductor', async () => (await connections()).length >= before + 3)
  const programs = [...(await createBroker({ host, parts, dir, port: brokerPort, signal })), server]
  for (const each of programs) await each.start()
  before = (await connections()).length
  await conductor.start()
  return {
    url,
    server,
    conductor,
    async stop() {
      // Asked to end, it takes half a minute, and its port goes on being served.
      await Promise.all([server.kill(), conductor.kill()])
      for (const each of programs.toReversed()) await each.stop()
    },
  }
}
