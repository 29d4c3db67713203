import { Agent } from 'node:https'
import t from 'tap'
import type { PoolSpec } from '../../shared/api/operator.ts'
import { createFakeAgent, type FakeAgent } from '../fakes/agent.ts'
import { entriesIn } from '../world/entries.ts'
import { failuresOf } from '../world/load.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

const storm = { size: 300, before: 60, heldBack: 40, joinsAtOnce: 12 } as const

t.test('drain in the middle of 300 simulated joins: no request fails, nobody is lost', async (t) => {
  const world = await createWorld({ name: 'storm' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  const b = await world.boot('b', 'servers')
  const { id } = await b.view()
  const { token } = await prepareCrowd(world)
  const connections = new Agent({ keepAlive: true, maxSockets: storm.joinsAtOnce })
  const agents: FakeAgent[] = []
  t.teardown(() => {
    for (const agent of agents) agent.cut()
    connections.destroy()
  })

  const load = world.load(caller, { options: { 'download-seconds': 10, 'tcp-reopen-ms': 5_000 } })
  await load.firstOk
  await waitFor(() => (load.progress().instances.b?.answers ?? 0) > 50, { what: 'load on both' })

  // Those held back join when the VM has left: so the storm is on from before the drain until after it.
  let isOver = false
  let count = 0
  async function lane(): Promise<void> {
    for (;;) {
      if (count >= (isOver ? storm.size : storm.size - storm.heldBack)) return
      const index = count++
      const agent = await createFakeAgent({
        url: world.controller.operatorUrl,
        ca: world.controller.ca,
        pool: crowd.name,
        token,
        address: addressOf(index),
        connections,
      })
      await agent.join()
      agents.push(agent)
      await agent.open({ health: 'healthy' })
    }
  }
  const lanes = () => Promise.all(Array.from({ length: storm.joinsAtOnce }, lane))
  const first = lanes()
  first.catch(() => {})
  await waitFor(() => agents.length >= storm.before, { what: 'the storm to be on', everyMs: 5 })
  await world.operator.drain(id)
  t.ok(agents.length < storm.size - storm.heldBack, `${agents.length} had joined when the drain began`)
  const view = await b.waitPhase('left', 90_000)
  await first
  t.equal(agents.length, storm.size - storm.heldBack, 'all of the first part joined')
  isOver = true
  await lanes()

  const ready = await waitFor(
    async () => {
      const vms = (await world.operator.vms(crowd.name)).filter((vm) => vm.phase === 'ready' && vm.connected)
      return vms.length === storm.size && vms
    },
    {
      what: 'all of the crowd to be ready',
      limitMs: 90_000,
      onTimeout: async () => JSON.stringify(countPhases(await world.operator.vms(crowd.name))),
    },
  )
  const before = load.progress().requests
  await waitFor(() => load.progress().requests > before + 200, { what: 'load after the storm' })
  const summary = await load.stop()

  t.equal(summary.failed, 0, failuresOf(summary))
  t.ok((summary.instances.b?.answers ?? 0) > 0, 'the one that left had served')
  t.equal(view.conditions.find((c) => c.type === 'Drained')?.status, 'True', 'its drain is on record')
  t.equal(new Set(ready.map((vm) => vm.address)).size, storm.size, 'each has its address')
  const metrics = await world.operator.metrics()
  t.same(
    metrics.match(/^mooring_joins_total\{.*$/gm)?.filter((line) => !line.includes('admitted')),
    [],
    'no join was refused',
  )
  t.notMatch(metrics, /^mooring_vanished_total\{.*\} [1-9]/m, 'nobody was ever taken for lost')
  const wanted = (await world.operator.vms()).filter((vm) => vm.phase !== 'left').map((vm) => vm.id)
  t.same(await entriesIn(world.controller.dataDir), wanted.toSorted(), 'an entry for each VM that is there')
  t.equal(wanted.length, storm.size + 2, 'the crowd, the caller and the server that stayed')
  t.comment(sceneLine('drain-in-a-storm-of-joins', summary))
})

const crowd = { name: 'crowd', prefix: '10.90' } as const

/** A pool with a service, so that each VM of the crowd is an endpoint that istiod tells everybody of. */
async function prepareCrowd(world: World): Promise<{ token: string }> {
  const spec: PoolSpec = {
    namespace: 'default',
    serviceAccount: crowd.name,
    labels: { app: crowd.name },
    service: {
      host: `${crowd.name}.mooring.internal`,
      ports: [{ name: 'http', number: 8080, protocol: 'HTTP' }],
    },
    join: { methods: ['token'], cidrs: [`${world.network.uplink.outside}/32`] },
    // They all come from one address, and say which is theirs.
    address: { cidr: `${crowd.prefix}.0.0/16` },
    // One process speaks for all of them, and beats late when it is busy.
    liveness: { heartbeatSeconds: 2, lostAfterSeconds: 20 },
  }
  await world.operator.applyPool(crowd.name, spec)
  return world.operator.createToken(crowd.name, { uses: storm.size })
}

function addressOf(index: number): string {
  return `${crowd.prefix}.${Math.floor(index / 250)}.${1 + (index % 250)}`
}

function countPhases(vms: readonly { readonly phase: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { phase } of vms) counts[phase] = (counts[phase] ?? 0) + 1
  return counts
}
