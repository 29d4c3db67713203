import t from 'tap'
import type { SidecarArtifact } from '../../../shared/api/bundle.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import type { AgentStatus } from '../../../shared/api/stream.ts'
import { fakeFacts } from '../../fakes/mesh.ts'
import { createFleetWorld, type FleetWorld, type TestAgent, webSpec } from './fleet-world.ts'

const artifact = (version: string): SidecarArtifact => ({
  version,
  arch: 'amd64',
  sha256: version.repeat(64).slice(0, 64),
  size: 1,
})
const [first, next] = [artifact('1'), artifact('2')]
const vms = ['vm-1', 'vm-2', 'vm-3'] as const

const installed: AgentStatus['conditions'] = ['SidecarInstalled', 'SidecarReady'].map((type) => ({
  type,
  status: 'True',
  reason: 'Done',
  message: '',
}))

/** A fleet whose three VMs serve with the first version. */
async function serving(
  t: { teardown(fn: () => Promise<void>): void },
  rollout: PoolSpec['rollout'] = {},
): Promise<FleetWorld> {
  const world = createFleetWorld({ settings: { resyncMs: 10_000 } })
  t.teardown(world.close)
  world.mesh.meshFacts = { ...fakeFacts, artifacts: [first] }
  await world.fleet.start(world.never)
  const liveness = { heartbeatSeconds: 60, lostAfterSeconds: 600 }
  await world.putPool('web', { ...webSpec, liveness, rollout })
  for (const vm of vms) {
    await world.admit(vm)
    await world.fleet.settle(vm, world.never)
    const { revision } = await world.fleet.bundle(vm, world.never)
    const agent = world.agent(vm)
    agent.connect()
    agent.report({ health: 'healthy', conditions: installed, sidecarVersion: '1', bundleRevision: revision })
  }
  await world.rest()
  return world
}

async function offer(world: FleetWorld, offered: SidecarArtifact): Promise<void> {
  world.mesh.meshFacts = { ...fakeFacts, artifacts: [offered] }
  await world.beat(vms, 15_000)
}

const artifactsOf = async (world: FleetWorld) =>
  Promise.all(vms.map(async (vm) => (await world.record(vm))?.artifact?.version))
const opened = (world: FleetWorld) => vms.filter((vm) => world.mesh.endpoints(vm).join() === 'open')
const said = (agent: TestAgent, kind: string) => agent.socket?.received.filter((m) => m.kind === kind).length

t.test('a version goes from one VM to the next, each closed before it restarts', async (t) => {
  const world = await serving(t)
  t.same(opened(world), vms)
  await offer(world, next)
  for (const [i, vm] of vms.entries()) {
    const agent = world.agent(vm)
    t.same(
      await artifactsOf(world),
      vms.map((_, j) => (j <= i ? '2' : '1')),
    )
    t.same(opened(world), vms, 'nothing closes before it is installed')
    const { revision } = await world.fleet.bundle(vm, world.never)
    t.equal(said(agent, 'restart'), 0)
    agent.report({ bundleRevision: revision, restartPending: true })
    await world.beat(vms, 5_000)
    t.same(
      opened(world),
      vms.filter((other) => other !== vm),
      'it closed',
    )
    t.match(agent.socket?.received.at(-1), { kind: 'restart', deadlineMs: 30_000, quietMs: 1_500 })
    t.match(
      (await world.record(vm))?.conditions.find((c) => c.type === 'EndpointOpen'),
      {
        reason: 'SidecarRestarts',
      },
    )
    await world.beat(vms, 5_000)
    t.equal(said(agent, 'restart'), 1, 'it is told once')
    agent.status = { ...agent.status, restartPending: false }
    agent.report({ health: 'unhealthy', sidecarVersion: '2' })
    await world.rest()
    agent.report({ health: 'healthy' })
    await world.beat(vms, 2_000)
    t.same(opened(world), vms, 'and opened again')
  }
  await world.beat(vms, 5_000)
  for (const vm of vms) {
    const stored = await world.record(vm)
    t.match(stored, { phase: 'ready', artifact: next })
    t.notOk(stored?.update ?? stored?.restart ?? stored?.refusedArtifact)
  }
})

t.test('one that does not get ready goes back to what it had, and nobody else takes it', async (t) => {
  const world = await serving(t, { readyWithinSeconds: 60 })
  await offer(world, next)
  const agent = world.agent('vm-1')
  agent.report({
    bundleRevision: (await world.fleet.bundle('vm-1', world.never)).revision,
    restartPending: true,
  })
  await world.beat(vms, 2_000)
  agent.status = { ...agent.status, restartPending: false }
  const message = 'it exits at once'
  agent.report({
    health: 'unhealthy',
    conditions: [{ type: 'SidecarRunning', status: 'False', reason: 'SIDECAR_EXITED', message }],
  })
  await world.beat(vms, 100_000)
  t.match(await world.record('vm-1'), { artifact: first, refusedArtifact: { sha256: next.sha256 } })
  t.match((await world.record('vm-1'))?.refusedArtifact?.why, /SIDECAR_EXITED: it exits at once/)
  t.same(opened(world), ['vm-2', 'vm-3'])
  const { revision } = await world.fleet.bundle('vm-1', world.never)
  agent.report({ health: 'healthy', conditions: installed, sidecarVersion: '1', bundleRevision: revision })
  await world.beat(vms, 60_000)
  t.same(opened(world), vms, 'it serves with the old one')
  t.same(await artifactsOf(world), ['1', '1', '1'], 'and so do the others')
  const audit = await world.audit.query({ target: 'pool/web' })
  t.match(audit.at(-1), { actor: 'controller', action: 'rollout.halt', detail: /sidecar 2 on vm-1/ })
  t.match((await world.metrics.read()).text, /mooring_rollouts_halted_total\{pool="web"\} 1/)
  t.match((await world.metrics.read()).text, /mooring_rollout_pending\{pool="web"\} 3/)
  await offer(world, artifact('3'))
  t.same(await artifactsOf(world), ['3', '1', '1'], 'another version begins anew')
})

t.test('a controller that starts anew in the middle goes on', async (t) => {
  const world = await serving(t)
  await offer(world, next)
  const agent = world.agent('vm-1')
  agent.report({
    bundleRevision: (await world.fleet.bundle('vm-1', world.never)).revision,
    restartPending: true,
  })
  await world.beat(vms, 2_000)
  t.same(opened(world), ['vm-2', 'vm-3'])
  await world.restart()
  for (const vm of vms) world.agent(vm).connect()
  await world.beat(vms, 5_000)
  t.same(opened(world), ['vm-2', 'vm-3'], 'it stays closed')
  t.equal(said(agent, 'restart'), 1, 'and is told in the new stream')
  agent.status = { ...agent.status, restartPending: false }
  agent.report({ health: 'unknown', sidecarVersion: '2' })
  agent.report({ health: 'healthy' })
  await world.beat(vms, 5_000)
  t.same(opened(world), vms)
  t.same(await artifactsOf(world), ['2', '2', '1'], 'and the next has its turn')
})

t.test('whatever makes a sidecar start anew, one VM after the other does', async (t) => {
  const world = await serving(t)
  world.mesh.meshFacts = { ...world.mesh.meshFacts, proxyConfig: { concurrency: 1 } }
  await world.beat(vms, 15_000)
  for (const vm of vms) {
    const { revision } = await world.fleet.bundle(vm, world.never)
    world.agent(vm).report({ bundleRevision: revision, restartPending: true })
  }
  await world.beat(vms, 5_000)
  t.same(opened(world), ['vm-2', 'vm-3'])
  world.agent('vm-1').report({ restartPending: false })
  await world.beat(vms, 5_000)
  t.same(opened(world), ['vm-1', 'vm-3'], 'the next')
})
