import { Agent } from 'node:https'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { createFakeAgent, type FakeAgent } from '../../fakes/agent.ts'
import type { ProgressStep } from '../../testbed/progress.ts'
import { echo, type World } from '../../world/world.ts'

/** Many VMs that are only simulated: real joins and streams over the real protocol, from one process. */
export interface Fleet {
  readonly size: number
  /** Lets VMs join until there are so many. */
  grow(size: number, step: ProgressStep): Promise<void>
  /** One of them, to be changed. */
  readonly first: FakeAgent
  close(): void
}

/** VMs of one pool, and so endpoints of one service: an ordinary size, whatever the size of the fleet. */
const poolSize = 50
const joinsAtOnce = 8
const firstAddress = { prefix: '10.90', perBlock: 250 }

const poolName = (number: number) => `fleet-${number}`
/** The host of the service to which the VM belongs that is changed. */
export const changedHost = 'fleet-0.mooring.internal'

/** An empty fleet. */
export function createFleet(world: World): Fleet {
  const { operator, controller, network } = world
  const agents: FakeAgent[] = []
  const tokens = new Map<string, string>()
  const connections = new Agent({ keepAlive: true, maxSockets: joinsAtOnce })

  async function tokenOf(pool: string): Promise<string> {
    const known = tokens.get(pool)
    if (known !== undefined) return known
    await operator.applyPool(pool, poolSpec(pool, `${network.uplink.outside}/32`))
    const { token } = await operator.createToken(pool, { uses: poolSize })
    tokens.set(pool, token)
    return token
  }

  async function join(index: number): Promise<FakeAgent> {
    const pool = poolName(Math.floor(index / poolSize))
    const agent = await createFakeAgent({
      url: controller.operatorUrl,
      ca: controller.ca,
      pool,
      token: tokens.get(pool) ?? '',
      address: addressOf(index),
      connections,
    })
    await agent.join()
    await agent.open({ health: 'healthy' })
    return agent
  }

  return {
    get size() {
      return agents.length
    },
    async grow(size, step) {
      while (agents.length < size) {
        const count = Math.min(joinsAtOnce, size - agents.length)
        const indexes = Array.from({ length: count }, (_, i) => agents.length + i)
        for (const index of indexes) await tokenOf(poolName(Math.floor(index / poolSize)))
        agents.push(...(await Promise.all(indexes.map(join))))
        step.at(`${agents.length} of ${size}`)
      }
    },
    get first() {
      const [agent] = agents
      if (agent === undefined) throw new Error('the fleet is empty')
      return agent
    },
    close() {
      for (const agent of agents) agent.cut()
      connections.destroy()
    },
  }
}

/** The address that the simulated VM with this number claims. */
export function addressOf(index: number): string {
  const { prefix, perBlock } = firstAddress
  return `${prefix}.${Math.floor(index / perBlock)}.${1 + (index % perBlock)}`
}

function poolSpec(name: string, joiner: string): PoolSpec {
  return {
    namespace: 'default',
    serviceAccount: name,
    labels: { app: name },
    service: {
      host: `${name}.mooring.internal`,
      ports: [{ name: 'http', number: echo.http, protocol: 'HTTP' }],
    },
    join: { methods: ['token'], cidrs: [joiner] },
    // They all come from one address, and say which is theirs.
    address: { cidr: `${firstAddress.prefix}.0.0/16` },
    // A thousand heartbeats of one process would be measured too.
    liveness: { heartbeatSeconds: 30, lostAfterSeconds: 120 },
  }
}
