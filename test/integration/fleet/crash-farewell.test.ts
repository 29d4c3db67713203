import t from 'tap'
import type { EffectName } from '../../../controller/effects.ts'
import { createFleetWorld, type FleetWorld } from './fleet-world.ts'

/** How a VM goes whose controller died while it joined or left. */
interface Going {
  readonly name: string
  readonly go: (world: FleetWorld) => Promise<unknown>
}

const vm = 'vm-1'

/** Says that it left as soon as it is welcomed: it drained by itself while nobody answered. */
function farewell(world: FleetWorld): void {
  const agent = world.agent(vm)
  if (agent.saidBye) return
  agent.connect()
  agent.say({ kind: 'left' })
}

const goings: readonly Going[] = [
  { name: 'it is never heard again', go: async () => {} },
  { name: 'it opens its stream and says that it left', go: async (world) => farewell(world) },
  {
    name: 'it says that it left and hangs up before anybody answers',
    go: async (world) => {
      farewell(world)
      world.agent(vm).socket?.hangUp()
    },
  },
  {
    name: 'its join is repeated after it left, and nobody waits for the answer',
    go: async (world) => {
      farewell(world)
      await world.rest()
      const record = await world.record(vm)
      if (record?.phase === 'left') await world.admit(vm)
      await world.fleet.settle(vm, world.never)
    },
  },
  {
    name: 'the mesh cannot be written when it says so',
    go: async (world) => {
      world.mesh.fault = 'before'
      farewell(world)
      await world.rest()
      await world.clock.advance(10_000)
      world.mesh.fault = 'none'
    },
  },
  {
    name: 'a write into the mesh takes effect and fails',
    go: async (world) => {
      world.mesh.fault = 'after'
      farewell(world)
      await world.rest()
      await world.clock.advance(10_000)
      world.mesh.fault = 'none'
    },
  },
  {
    name: 'it is removed at once',
    go: (world) => world.fleet.remove(vm, { by: 'operator:ann', now: true }),
  },
]

/** One life: a join, a stream, a shutdown. The controller dies after its effect number `crashAfter`. */
async function live(crashAfter: number, going: Going, lateMs: number) {
  const effects: EffectName[] = []
  const world = createFleetWorld({
    settings: { resyncMs: 86_400_000 },
    afterEffect: (name) => {
      effects.push(name)
      if (effects.length - 1 !== crashAfter) return
      world.kill()
      throw new Error('the controller is gone')
    },
  })
  await world.putPool('web')
  await world.fleet.start(world.never)
  await world.rest()
  let isOver = false
  const story = async () => {
    await world.admit(vm)
    await world.fleet.settle(vm, world.never)
    const agent = world.agent(vm)
    agent.connect()
    agent.report({ health: 'healthy' })
    await world.rest()
    agent.say({ kind: 'drain-request', reason: 'shutdown', after: 'leave' })
    await world.rest()
  }
  const told = story()
    .catch((error: unknown) => {
      if (!world.isDead) throw error
    })
    .finally(() => {
      isOver = true
    })
  await Promise.race([told, world.until(() => world.isDead || isOver)])
  const crashed = world.isDead
  if (crashed) {
    await world.clock.advance(lateMs)
    await world.restart()
    await world.rest()
    await going.go(world)
    await world.rest()
  }
  // The reconnect window, the loss and the grace period, and no comparison of everything with everything.
  await world.clock.advance(15_000 + 5_000 + 300_000 + 60_000)
  await world.rest()
  const end = { phase: await world.phase(vm), endpoints: world.mesh.endpoints(vm) }
  await world.close()
  return { crashed, effects, end }
}

t.test('whenever the controller dies, and however the VM goes: no entry stays', async (t) => {
  const straight = await live(-1, goings[0] as Going, 0)
  t.same(straight.end, { phase: 'left', endpoints: [] })
  t.ok(straight.effects.includes('entry-removed'), straight.effects.join(' '))
  for (const going of goings) {
    for (const lateMs of [0, 3_600_000]) {
      for (let i = 0; i < straight.effects.length; i += 1) {
        const { crashed, end } = await live(i, going, lateMs)
        const what = `killed after effect ${i}, ${straight.effects[i]}; back after ${lateMs} ms; ${going.name}`
        t.same({ crashed, end }, { crashed: true, end: { phase: 'left', endpoints: [] } }, what)
      }
    }
  }
})
