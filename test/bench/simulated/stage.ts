import { readFile } from 'node:fs/promises'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { createKubernetesWorld, type KubernetesWorld } from '../../e2e/kubernetes/controller-scene.ts'
import { ipBatch } from '../../testbed/network/ip.ts'
import { echo } from '../../world/world.ts'
import type { BenchDeps } from '../bench.ts'
import { parseMemory } from '../process-memory.ts'
import { parseCpuSeconds } from '../process-time.ts'
import { type Crowd, createCrowd } from './crowd.ts'
import type { Member } from './orders.ts'

/** A cluster with one controller, and room for thousands of simulated VMs beside it. */
export interface Stage {
  readonly world: KubernetesWorld
  /** Simulated VMs, spread over pools; nothing of them has joined. */
  crowd(size: number, liveness?: PoolSpec['liveness']): Promise<Crowd>
  /** Starts the controller anew: its joins wait for no istiod, and the profiler is on where that was asked for. */
  restart(): Promise<void>
  cpuSeconds(): Promise<number>
  residentKb(): Promise<number>
}

/** VMs of one pool, and so endpoints of one service, and uses of one token: an ordinary size. */
const poolSize = 250
/** Few VMs are spread too: those of one token are admitted one after the other. */
const leastPools = 16
const namespace = 'shop'
/** By itself the controller admits as many as istiod takes sidecars; simulated VMs have none. */
const joinsPerSecond = '100000'
const range = { prefix: '10.90', perBlock: 250 } as const

/** Builds the cluster and the controller. */
export async function createStage(deps: BenchDeps, name: string): Promise<Stage> {
  const { signal, progress, profile, atEnd } = deps
  const world = await createKubernetesWorld({ name, servers: null, clients: null, signal, progress })
  atEnd(() => world.close())
  const { controller, operator, network } = world
  // Every VM has an address and connects from it: limits per address are met as they would be.
  await ipBatch([`route add local ${range.prefix}.0.0/16 dev lo`], { namespace: network.host.name, signal })
  const ofController = (file: string) => readFile(`/proc/${controller.pid}/${file}`, 'utf8')
  let members = 0

  async function addPool(pool: string, uses: number, liveness: PoolSpec['liveness']): Promise<string> {
    await operator.applyPool(pool, poolSpec(pool, liveness))
    return (await operator.createToken(pool, { uses })).token
  }

  return {
    world,
    async crowd(size, liveness) {
      const first = members
      members += size
      const tokens = new Map<string, string>()
      const all: Member[] = []
      const pools = Math.min(size, Math.max(leastPools, Math.ceil(size / poolSize)))
      for (let index = first; index < first + size; index++) {
        // Neighbours are of different pools, as machines are that come back after a power cut.
        const pool = `fleet-${first}-${index % pools}`
        const token = tokens.get(pool) ?? (await addPool(pool, poolSize, liveness))
        tokens.set(pool, token)
        all.push({ index, address: addressOf(index), pool, token })
      }
      const crowd = await createCrowd({
        namespace: network.host,
        url: controller.url,
        ca: controller.ca,
        members: all,
      })
      atEnd(() => crowd.close())
      return crowd
    },
    async restart() {
      await controller.stop()
      await controller.start({
        env: {
          MOORING_LIMITS_JOINS_PER_SECOND: joinsPerSecond,
          ...(profile !== undefined && { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile}` }),
        },
      })
    },
    cpuSeconds: async () => parseCpuSeconds(await ofController('stat')),
    residentKb: async () => parseMemory(await ofController('smaps_rollup')).residentKb,
  }
}

/** The address of the simulated VM with this number. */
export function addressOf(index: number): string {
  const { prefix, perBlock } = range
  return `${prefix}.${Math.floor(index / perBlock)}.${1 + (index % perBlock)}`
}

function poolSpec(name: string, liveness: PoolSpec['liveness']): PoolSpec {
  return {
    namespace,
    serviceAccount: name,
    labels: { app: name },
    service: {
      host: `${name}.mooring.internal`,
      ports: [{ name: 'http', number: echo.http, protocol: 'HTTP' }],
    },
    join: { methods: ['token'], cidrs: [`${range.prefix}.0.0/16`] },
    ...(liveness && { liveness }),
  }
}
