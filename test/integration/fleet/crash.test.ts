import t from 'tap'
import { type EffectName, effectNames } from '../../../controller/effects.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { createFleetWorld, type FleetWorld, webSpec } from './fleet-world.ts'

/** Effects that other parts of the controller run; their own tests kill after them. */
const notOfTheFleet: readonly EffectName[] = ['admission-committed', 'certificate-signed']

/** One step of the story: what starts it, and when it is over. Both are repeated after a crash. */
interface Step {
  readonly name: string
  readonly begin: (world: FleetWorld) => Promise<unknown>
  readonly isOver: (world: FleetWorld) => boolean | Promise<boolean>
}

// An hour passes in the story: heartbeats are rare in it.
const liveness = { heartbeatSeconds: 60, lostAfterSeconds: 300, graceSeconds: 3_600 }
const newSpec: PoolSpec = { ...webSpec, liveness }
const oldSpec: PoolSpec = {
  ...newSpec,
  service: { host: 'old.shop.internal', ports: webSpec.service?.ports ?? [] },
}
const operator = 'operator:ann'

async function serves(world: FleetWorld, vm: string, address: string): Promise<void> {
  if ((await world.record(vm)) === undefined) await world.admit(vm, { address })
  await world.fleet.settle(vm, world.never)
  await world.fleet.bundle(vm, world.never)
  const agent = world.agent(vm)
  if (agent.socket === undefined) agent.connect()
  agent.report({ health: 'healthy' })
}

const isServing = (vm: string) => async (world: FleetWorld) =>
  (await world.phase(vm)) === 'ready' && world.mesh.endpoints(vm).join() === 'open'
const hasLeft = (vm: string) => async (world: FleetWorld) =>
  (await world.phase(vm)) === 'left' && world.mesh.endpoints(vm).length === 0

/** A story in which every effect of the fleet happens. */
const story: readonly Step[] = [
  {
    name: 'two pools are made',
    begin: async (world) => {
      await world.putPool('web', newSpec)
      await world.putPool('old', oldSpec)
    },
    isOver: (world) =>
      world.mesh.objects.has('Sidecar/shop/web') && world.mesh.objects.has('Sidecar/shop/old'),
  },
  {
    name: 'one is deleted',
    begin: (world) => world.removePool('old'),
    isOver: (world) => !world.mesh.objects.has('Sidecar/shop/old'),
  },
  { name: 'vm-1 joins', begin: (world) => serves(world, 'vm-1', '10.0.0.1'), isOver: isServing('vm-1') },
  {
    name: 'vm-1 is lost',
    begin: async (world) => {
      world.agent('vm-1').socket?.hangUp()
      await world.clock.advance(320_000)
    },
    isOver: async (world) => (await world.phase('vm-1')) === 'lost',
  },
  {
    name: 'vm-2 gets its address',
    begin: async (world) => {
      if ((await world.record('vm-2')) === undefined) {
        await world.admit('vm-2', { address: '10.0.0.1' }, 'vm-1')
      }
      await serves(world, 'vm-2', '10.0.0.1')
    },
    isOver: isServing('vm-2'),
  },
  { name: 'vm-3 joins', begin: (world) => serves(world, 'vm-3', '10.0.0.3'), isOver: isServing('vm-3') },
  { name: 'vm-4 joins', begin: (world) => serves(world, 'vm-4', '10.0.0.4'), isOver: isServing('vm-4') },
  {
    name: 'vm-2 is unwell and well again',
    begin: async (world) => {
      world.agent('vm-2').report({ health: 'unhealthy' })
      await world.rest()
      world.agent('vm-2').report({ health: 'healthy' })
    },
    isOver: isServing('vm-2'),
  },
  {
    name: 'vm-2 drains and leaves',
    begin: (world) => world.fleet.requestDrain('vm-2', { reason: 'operator', after: 'leave', by: operator }),
    isOver: hasLeft('vm-2'),
  },
  {
    name: 'vm-3 is removed',
    begin: (world) => world.fleet.remove('vm-3', { by: operator, now: false }),
    isOver: async (world) =>
      (await hasLeft('vm-3')(world)) &&
      world.mesh.objects.has('AuthorizationPolicy/istio-system/evicted-vm-3'),
  },
  {
    name: 'its certificates end',
    begin: (world) => world.beat(['vm-4'], 3_600_000 + 120_000, 60_000),
    isOver: (world) => !world.mesh.objects.has('AuthorizationPolicy/istio-system/evicted-vm-3'),
  },
]

/** Tells the story; ends the controller after its effect number `crashAfter`, and goes on with a new one. */
async function tell(crashAfter: number): Promise<{ readonly effects: EffectName[]; readonly end: unknown }> {
  const effects: EffectName[] = []
  const world: FleetWorld = createFleetWorld({
    afterEffect: (name) => {
      effects.push(name)
      if (effects.length - 1 !== crashAfter) return
      world.kill()
      throw new Error('the controller is gone')
    },
  })
  await world.fleet.start(world.never)
  for (const step of story) {
    for (let attempt = 0; ; attempt += 1) {
      if (attempt > 5) throw new Error(`"${step.name}" does not end after effect ${crashAfter}`)
      const begun = step.begin(world).catch((error: unknown) => {
        if (!world.isDead) throw error
      })
      let isOver = false
      const ended = begun.finally(() => {
        isOver = true
      })
      // What waits for a dead controller waits for ever.
      await Promise.race([ended, world.until(() => world.isDead || isOver)])
      await world.rest()
      if (world.isDead) {
        await world.restart()
        for (const vm of ['vm-2', 'vm-3', 'vm-4']) {
          const agent = world.agent(vm)
          if (agent.socket !== undefined && !agent.saidBye) agent.connect()
        }
        await world.rest()
      }
      if (await step.isOver(world)) break
    }
  }
  const end = {
    phases: Object.fromEntries((await world.store.list('vm')).map((v) => [v.name, v.value.phase])),
    wishes: (await world.store.list('vm')).filter((v) => v.value.drain !== undefined).map((v) => v.name),
    objects: [...world.mesh.objects.values()]
      .map((o) => JSON.stringify({ kind: o.kind, name: o.metadata.name, spec: o.spec, status: o.status }))
      .sort(),
    bye: ['vm-2', 'vm-3', 'vm-4'].filter((vm) => world.agent(vm).saidBye),
  }
  await world.close()
  return { effects, end }
}

t.test('the controller may die after any of its effects, and everything ends as without it', async (t) => {
  const straight = await tell(-1)
  t.same(
    effectNames.filter((name) => !straight.effects.includes(name)),
    notOfTheFleet,
    'the story has every effect of the fleet',
  )
  t.match(straight.end, {
    phases: { 'vm-1': 'left', 'vm-2': 'left', 'vm-3': 'left', 'vm-4': 'ready' },
    wishes: [],
    bye: ['vm-2', 'vm-3'],
  })
  for (let i = 0; i < straight.effects.length; i += 1) {
    const { end } = await tell(i)
    t.same(end, straight.end, `killed after effect ${i}, ${straight.effects[i]}`)
  }
})
