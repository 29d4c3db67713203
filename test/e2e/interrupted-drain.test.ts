import t from 'tap'
import { failuresOf } from '../world/load.ts'
import type { Member } from '../world/member.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

/** Who dies when a drain has begun, while long requests are open. */
const deaths: Record<string, (world: World, draining: Member) => Promise<void>> = {
  'the agent': async (_, draining) => {
    await draining.killAgent()
    await draining.startAgent()
  },
  'the controller': async (world) => {
    await world.controller.kill()
    await world.controller.start()
  },
  'agent and controller': async (world, draining) => {
    await Promise.all([draining.killAgent(), world.controller.kill()])
    await Promise.all([draining.startAgent(), world.controller.start()])
  },
}

t.test('who dies in the middle of a drain goes on with it: no open request is cut', async (t) => {
  const world = await createWorld({ name: 'interrupted', servers: { drain: { deadlineSeconds: 60 } } })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('stays', 'servers')

  for (const [victim, kill] of Object.entries(deaths)) {
    await t.test(victim, async (t) => {
      const member = await world.boot(`drains-${victim.replaceAll(' ', '-')}`, 'servers')
      const load = world.load(caller, {
        options: { 'download-seconds': 12, 'download-workers': 4, 'grpc-ms': 5_000, 'tcp-reopen-ms': 6_000 },
      })
      await load.firstOk
      await waitFor(() => (load.progress().instances[member.name]?.answers ?? 0) > 60, { what: 'load on it' })
      await world.operator.drain((await member.view()).id)
      await member.waitPhase('draining')
      await kill(world, member)
      await member.waitPhase('left', 120_000)
      const count = load.progress().requests
      await waitFor(() => load.progress().requests > count + 100, { what: 'load afterwards' })
      const summary = await load.stop()
      t.equal(summary.failed, 0, failuresOf(summary))
      t.same(await member.sidecar(), {}, 'and it is gone')
      t.comment(sceneLine(`drain-interrupted-by-${victim.replaceAll(' ', '-')}`, summary))
      await member.vm.destroy()
    })
  }
})
