import t from 'tap'
import type { VmView } from '../../shared/api/operator.ts'
import { failuresOf } from '../world/load.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld } from '../world/world.ts'

t.test('one of many loses power: its endpoint is closed, the others serve on', async (t) => {
  const world = await createWorld({ name: 'power' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  const b = await world.boot('b', 'servers')
  const { id } = await b.view()
  const load = world.load(caller, { ports: { http1: 8080 }, options: { 'limit-ms': 2000 } })
  await load.firstOk
  await b.vm.cutPower()
  await waitFor(async () => (await world.operator.vm(id)).phase === 'lost', { what: 'it to be lost' })
  t.equal(condition(await world.operator.vm(id), 'EndpointOpen'), 'False')

  await t.test('afterwards no request fails', async (t) => {
    await load.stop()
    const after = world.load(caller, { options: { 'download-seconds': 2 } })
    await after.firstOk
    await waitFor(() => after.progress().requests > 150, { what: 'load' })
    const summary = await after.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('after-a-power-cut', summary))
  })

  await t.test('it is explained in words', async (t) => {
    const { ready, summary, fix } = await world.operator.explain(id)
    t.equal(ready, false)
    t.match(summary, /not heard|lost/i)
    t.ok(fix)
  })
})

t.test('the sidecar is killed: closed, started again, open', async (t) => {
  const world = await createWorld({ name: 'kill' })
  t.teardown(() => world.close())
  const a = await world.boot('a', 'servers')
  for (const victim of ['pilotAgent', 'envoy'] as const) {
    const before = await waitFor(
      async () => {
        const seen = await a.sidecar()
        return seen.pilotAgent !== undefined && seen.envoy !== undefined && seen
      },
      { what: 'both programs of the sidecar' },
    )
    const restarts = (await a.view()).sidecarRestarts
    const pid = before[victim]
    if (pid === undefined) throw new Error(`no ${victim} runs`)
    process.kill(pid, 'SIGKILL')
    const view = await waitFor(
      async () => {
        const seen = await a.view()
        return seen.sidecarRestarts > restarts && seen.phase === 'ready' && seen
      },
      { what: `recovery from a killed ${victim}` },
    )
    t.equal(view.sidecarRestarts, restarts + 1, victim)
    const after = await a.sidecar()
    t.ok(after.envoy !== undefined && after.envoy !== before.envoy, 'another Envoy runs')
  }
})

t.test(
  'all VMs are cut off at once: the guard holds their endpoints, and lets go when they are back',
  async (t) => {
    const world = await createWorld({ name: 'guard' })
    t.teardown(() => world.close())
    const members = []
    for (const name of ['a', 'b', 'c', 'd', 'e']) members.push(await world.boot(name, 'servers'))
    // The controller's side of the network fails: the VMs themselves are well.
    await world.network.host.exec('ip', ['link', 'set', 'brm', 'down'])
    const metric = () => guardMetric(world.operator)
    await waitFor(async () => (await metric()) > 0, { what: 'the guard to hold' })
    t.ok(
      (await world.operator.vms()).every((vm) => condition(vm, 'EndpointOpen') === 'True'),
      'no endpoint is closed',
    )
    await world.network.host.exec('ip', ['link', 'set', 'brm', 'up'])
    await waitFor(
      async () => (await world.operator.vms()).every((vm) => vm.phase === 'ready' && vm.connected),
      {
        what: 'all to be back',
      },
    )
    await waitFor(async () => (await metric()) === 0, { what: 'the guard to let go' })
    t.ok(members.length > 3, 'more than the smallest number that the guard doubts')
  },
)

function condition(vm: VmView, type: string): string | undefined {
  return vm.conditions.find((c) => c.type === type)?.status
}

async function guardMetric(operator: { metrics(): Promise<string> }): Promise<number> {
  return Number(/^mooring_closing_held (\d+)/m.exec(await operator.metrics())?.[1] ?? 0)
}
