import type { PoolSpec } from '../../../shared/api/operator.ts'
import { call } from '../../world/call.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import type { Observer } from '../../world/watch/observer.ts'
import { type EndpointEvent, opened, watchEndpoints } from '../../world/watch/peer.ts'
import { createWorld, echo, serverPool, type World } from '../../world/world.ts'
import type { BenchDeps } from '../bench.ts'

/** Where the lifecycle is measured: a world with one caller, and that caller's view of all endpoints. */
export interface Stage {
  readonly world: World
  readonly caller: Member
  readonly endpoints: Observer<EndpointEvent>
  /** A VM with nothing but agent, configuration, token and the sidecar's program; its application is up. */
  prepare(name: string, pool: string): Promise<Member>
  /** The same, in the mesh and open to its peer. */
  boot(name: string, pool: string): Promise<Member>
}

/** Each has a host of its own, so that what a peer gets from it comes from nobody else. */
export const lonePools = {
  measured: 'measured.mooring.internal',
  floor: 'floor.mooring.internal',
} as const

/** Longer than the longest request of the load, a download of 30 s: nothing has to be cut. */
const drainSeconds = 60

/** Builds the world and boots the caller. */
export async function createStage(deps: Pick<BenchDeps, 'progress' | 'signal' | 'atEnd'>): Promise<Stage> {
  const { progress, signal } = deps
  const world = await createWorld({
    name: 'bench',
    progress,
    signal,
    servers: { drain: { deadlineSeconds: drainSeconds } },
  })
  deps.atEnd(() => world.close())
  await world.operator.applyPool('measured', lonePool(lonePools.measured))
  await world.operator.applyPool('floor', {
    ...lonePool(lonePools.floor),
    // Its agent is killed, and its endpoint has to stay.
    liveness: { lostAfterSeconds: 600 },
  })
  const caller = await world.boot('caller', 'clients', { config: quiet, vm: { index: 0 } })
  const endpoints = watchEndpoints(caller.vm)
  let index = 1

  async function prepare(name: string, pool: string): Promise<Member> {
    // Every VM has an address that none had before: what is measured is a boot, not a replacement.
    const member = await world.prepare(name, pool, { config: quiet, vm: { index: index++ } })
    await member.startApp()
    await waitFor(
      async () => (await call(member.vm, `http://127.0.0.1:${echo.http}/health`)).status === 200,
      {
        what: `the application of ${name}`,
        signal,
      },
    )
    return member
  }

  return {
    world,
    caller,
    endpoints,
    prepare,
    async boot(name, pool) {
      const member = await prepare(name, pool)
      await member.startAgent()
      await opened(endpoints, member.vm.address, `a peer to have ${name}`)
      return member
    },
  }
}

const quiet = { log: { level: 'info' } }

function lonePool(host: string): PoolSpec {
  return {
    ...serverPool,
    serviceAccount: host.split('.')[0] ?? host,
    labels: { app: host.split('.')[0] ?? host },
    service: { host, ports: serverPool.service?.ports ?? [] },
  }
}

/** Takes a VM out of the mesh in order, and away. */
export async function dismiss(member: Member): Promise<void> {
  await member.shutDown()
  await member.vm.destroy()
}
