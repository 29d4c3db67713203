import type { ChildProcess } from 'node:child_process'
import t from 'tap'
import { type EffectName, effectNames } from '../../agent/effects.ts'
import type { VmView } from '../../shared/api/operator.ts'
import { entriesIn } from '../world/entries.ts'
import { type Member, tail } from '../world/member.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, type World } from '../world/world.ts'

/** When each effect happens: on the way into the mesh, when the bundle changes, or on the way out. Every effect needs one. */
const times: Record<EffectName, 'join' | 'refresh' | 'leave'> = {
  'key-stored': 'join',
  'identity-stored': 'join',
  'artifact-downloaded': 'join',
  'artifact-installed': 'join',
  'files-written': 'join',
  'sidecar-started': 'join',
  'capture-applied': 'join',
  'bundle-stored': 'refresh',
  'drain-started': 'leave',
  'sidecar-stopped': 'leave',
  'capture-undone': 'leave',
  'departure-stored': 'leave',
  'farewell-stored': 'leave',
}

t.test('the agent is killed after each of its effects: the next start goes on from there', async (t) => {
  const world = await createWorld({ name: 'agent-points' })
  t.teardown(() => world.close())
  const image = await world.boot('image', 'servers')
  await image.shutDown()
  await image.vm.destroy()
  const killed: EffectName[] = []

  for (const effect of effectNames) {
    await t.test(effect, async (t) => {
      const member = await world.prepare(`vm-${effect}`, 'servers', { baked: !effect.startsWith('artifact') })
      await member.startApp()
      await reach[times[effect]](world, member, effect)
      killed.push(effect)
      await member.startAgent()
      const view = await serves(world, member)
      const same = (await world.operator.vms()).filter((vm) => vm.hostname === member.name)
      t.equal(same.length, 1, 'one VM for one machine')
      t.same(await entriesIn(world.controller.dataDir), [view.id], 'with one entry')
      const { pilotAgent, envoy } = await member.sidecar()
      t.ok(pilotAgent && envoy, 'and one sidecar')
      t.equal((await member.agent('doctor')).code, 0, 'nothing is wrong with it')
      t.equal(await member.shutDown(), 0)
      await member.vm.destroy()
    })
  }
  t.same(killed, effectNames, 'each effect has its kill point')
})

/** Brings a VM to the effect, where its agent dies. */
const reach: Record<
  'join' | 'refresh' | 'leave',
  (world: World, member: Member, effect: EffectName) => Promise<void>
> = {
  join: async (_, member, effect) => {
    await dies(await member.startAgent({ env: { MOORING_TEST_KILL_AFTER: effect } }), member)
  },
  refresh: async (world, member, effect) => {
    const child = await startsToServe(world, member, effect)
    const { name, spec } = await world.operator.pool('servers')
    await world.operator.applyPool(name, { ...spec, drain: { ...spec.drain, deadlineSeconds: 25 } })
    await dies(child, member)
  },
  leave: async (world, member, effect) => {
    const child = await startsToServe(world, member, effect)
    child.kill('SIGTERM')
    await dies(child, member)
  },
}

/** Into the mesh first; then an agent that dies at the effect takes over. */
async function startsToServe(world: World, member: Member, effect: EffectName): Promise<ChildProcess> {
  await member.startAgent()
  await serves(world, member)
  await member.killAgent()
  const child = await member.startAgent({ env: { MOORING_TEST_KILL_AFTER: effect } })
  await serves(world, member)
  return child
}

/** The agent itself says that it serves, and so does the controller: what it says alone may be of the process before. */
async function serves(world: World, member: Member): Promise<VmView> {
  return waitFor(
    async () => {
      const { code, stdout } = await member.agent('status', '--json')
      if (code !== 0) return false
      const { stage, connected, vm } = JSON.parse(stdout) as {
        stage: string
        connected: boolean
        vm?: string
      }
      if (stage !== 'serving' || !connected || vm === undefined) return false
      const view = await world.operator.vm(vm)
      return view.phase === 'ready' && view
    },
    { what: `${member.name} to serve`, onTimeout: () => tail(member.agentLog) },
  )
}

async function dies(child: ChildProcess, member: Member): Promise<void> {
  await waitFor(() => child.signalCode === 'SIGKILL', {
    what: 'the agent to die',
    onTimeout: () => tail(member.agentLog),
  })
}
