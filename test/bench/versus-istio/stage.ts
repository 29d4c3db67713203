import { createKubernetesWorld, type KubernetesWorld } from '../../e2e/kubernetes/controller-scene.ts'
import { call } from '../../world/call.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import type { Observer } from '../../world/watch/observer.ts'
import { type EndpointEvent, opened, watchEndpoints } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import type { BenchDeps } from '../bench.ts'
import { createIstioSide } from './istio-side.ts'
import { createMooringSide } from './mooring-side.ts'
import type { Entrant, Side } from './side.ts'

/** Where the two are compared: one cluster, one caller, and that caller's view of all endpoints. */
export interface Stage {
  readonly world: KubernetesWorld
  readonly caller: Member
  readonly endpoints: Observer<EndpointEvent>
  readonly sides: readonly Side[]
  /** Istio's way, but told that there is no cloud whose metadata could be asked for. */
  readonly quickIstio: Side
  /** A VM that has all that Mooring needs, as an image would; nothing runs in it. */
  addVm(name: string): Promise<Member>
  /** Starts the application, and lays the files of a way. */
  prepare(member: Member, side: Side): Promise<Entrant>
  /** The same, in the mesh and open to its peer. */
  enter(member: Member, side: Side): Promise<Entrant>
  /** Makes a VM like new, for the other way: nothing runs in it, it is connected, and no traffic rule is left. */
  reset(member: Member): Promise<void>
}

const rules = ['nat', 'mangle', 'raw', 'filter'] as const

/** Builds the cluster, the controller and the caller. */
export async function createStage(deps: Pick<BenchDeps, 'progress' | 'signal' | 'atEnd'>): Promise<Stage> {
  const { progress, signal } = deps
  const world = await createKubernetesWorld({ name: 'versus', progress, signal })
  deps.atEnd(() => world.close())
  const caller = await world.boot('caller', 'clients', { config: quiet })
  const endpoints = watchEndpoints(caller.vm)
  const istio = await createIstioSide(world)
  const quickIstio = await createIstioSide(world, { asksForCloud: false })

  async function prepare(member: Member, side: Side): Promise<Entrant> {
    await member.startApp()
    await waitFor(
      async () => (await call(member.vm, `http://127.0.0.1:${echo.http}/health`)).status === 200,
      { what: `the application of ${member.name}`, signal },
    )
    return side.prepare(member)
  }

  return {
    world,
    caller,
    endpoints,
    sides: [istio, createMooringSide(world)],
    quickIstio,
    addVm: (name) => world.prepare(name, 'servers', { config: quiet }),
    prepare,
    async enter(member, side) {
      const entrant = await prepare(member, side)
      await entrant.start()
      await opened(endpoints, member.vm.address, `a peer to have ${member.name} by ${side.name}`)
      return entrant
    },
    async reset({ vm }) {
      await vm.killAll()
      await vm.linkUp()
      for (const table of rules) {
        for (const what of ['-F', '-X']) await vm.exec('iptables', ['-w', '-t', table, what])
      }
    },
  }
}

const quiet = { log: { level: 'info' } }
