import t from 'tap'
import { isMooringError } from '../../../shared/errors.ts'
import { createFleetWorld, webSpec } from './fleet-world.ts'

async function started(options: Parameters<typeof createFleetWorld>[0] = {}) {
  const world = createFleetWorld(options)
  await world.putPool('web')
  await world.fleet.start(world.never)
  await world.rest()
  return world
}

t.test('a VM joins, serves, drains and leaves', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.admit('vm-1')
  await world.fleet.settle('vm-1', world.never)
  t.same(world.mesh.endpoints('vm-1'), ['none'], 'settle resolves when the entry is written, closed')

  const agent = world.agent('vm-1')
  const socket = agent.connect()
  await world.rest()
  t.match(socket.received[0], { kind: 'welcome', epoch: 1, heartbeatMs: 2_000, lostAfterMs: 5_000 })
  t.equal(await world.phase('vm-1'), 'joined')

  agent.report({ health: 'healthy' })
  await world.rest()
  t.equal(await world.phase('vm-1'), 'ready')
  t.same(world.mesh.endpoints('vm-1'), ['open'])
  t.equal((await world.fleet.explain('vm-1'))?.ready, true)

  await world.fleet.requestDrain('vm-1', { reason: 'operator', after: 'leave', by: 'operator:ann' })
  await world.rest()
  t.equal(await world.phase('vm-1'), 'left')
  t.same(world.mesh.endpoints('vm-1'), [])
  t.equal(agent.saidBye, true)
  t.same(socket.closed, { code: 1000, reason: 'left' })
  const calls = world.mesh.calls
    .filter((c) => c.ref.name === 'vm-1')
    .map((c) => [c.call, c.health].filter(Boolean).join(' '))
  t.same(calls, ['apply none', 'apply open', 'apply closed', 'taken', 'remove'])
})

t.test(
  'the drain is sent only after istiod has taken in that the endpoint is closed, or its time is over',
  async (t) => {
    const world = await started()
    t.teardown(world.close)
    const agent = await world.serve('vm-1')
    world.mesh.lags = true
    await world.fleet.requestDrain('vm-1', { reason: 'operator', after: 'leave', by: 'operator:ann' })
    await world.until(() => world.mesh.calls.some((c) => c.call === 'taken'))
    await world.clock.advance(1_999)
    t.equal(
      agent.socket?.received.some((m) => m.kind === 'drain'),
      false,
    )
    t.same(world.mesh.endpoints('vm-1'), ['closed'])
    await world.clock.advance(1)
    await world.rest()
    t.equal(
      agent.socket?.received.some((m) => m.kind === 'drain'),
      true,
    )
  },
)

t.test('many drains that wait for a slow istiod hold up nobody', async (t) => {
  const world = await started({ settings: { parallel: 1 } })
  t.teardown(world.close)
  const agents = [await world.serve('vm-1'), await world.serve('vm-2'), await world.serve('vm-3')]
  world.mesh.lags = true
  for (const vm of ['vm-1', 'vm-2']) {
    await world.fleet.requestDrain(vm, { reason: 'scale-in', after: 'leave', by: 'operator:ann' })
  }
  await world.rest()
  const now = world.clock.now()
  agents[2]?.report({ health: 'unhealthy' })
  await world.rest()
  t.same(world.mesh.endpoints('vm-3'), ['closed'])
  t.equal(world.clock.now(), now)
  await world.clock.advance(2_000)
  await world.rest()
  t.equal(await world.phase('vm-1'), 'left')
  t.equal(await world.phase('vm-2'), 'left')
})

t.test('an unhealthy status closes the endpoint at once, without time passing', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  const before = world.clock.now()
  agent.report({ health: 'unhealthy' })
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['closed'])
  t.equal(world.clock.now(), before)
  agent.report({ health: 'healthy' })
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['open'])
})

t.test('a stream that closes is not a lost VM; silence is', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  agent.socket?.hangUp()
  await world.clock.advance(4_000)
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['open'])
  t.equal((await world.fleet.view('vm-1'))?.connected, false)
  await world.clock.advance(1_000)
  await world.rest()
  t.equal(await world.phase('vm-1'), 'lost')
  t.same(world.mesh.endpoints('vm-1'), ['closed'])
  const told = await world.fleet.explain('vm-1')
  t.match(told, { step: 'Connected', summary: /^It is lost: not heard from for 5 s/ })

  agent.connect()
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['open'], 'it comes back by its health')
  t.equal(await world.phase('vm-1'), 'ready')

  agent.socket?.hangUp()
  await world.clock.advance(5_000 + 300_000)
  await world.rest()
  t.equal(await world.phase('vm-1'), 'left', 'and is deleted after the grace period')
  t.same(world.mesh.endpoints('vm-1'), [])
  const socket = agent.connect()
  await world.rest()
  t.same(socket.received, [{ kind: 'bye', revoked: false }], 'then its key must join anew')
})

t.test('the newest stream of a VM wins, and the old one counts for nothing any more', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  const old = agent.socket
  const fresh = agent.connect()
  await world.rest()
  t.equal(old?.closed?.code, 4001)
  t.match(fresh.received[0], { kind: 'welcome', epoch: 2 })
  old?.say({ kind: 'left' })
  old?.say({ kind: 'status', status: { ...agent.status, health: 'unhealthy' } })
  old?.hangUp()
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['open'])
  t.equal((await world.fleet.view('vm-1'))?.connected, true)
})

t.test('a drain that the VM asks for itself is carried out and kept in the audit', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  agent.say({ kind: 'drain-request', reason: 'shutdown', after: 'leave' })
  await world.rest()
  t.equal(await world.phase('vm-1'), 'left')
  const actions = (await world.audit.query({ target: 'vm/vm-1' })).map((r) => `${r.actor} ${r.action}`)
  // The second says that no other VM serves the same.
  t.same(actions, ['vm:vm-1 vm.drain', 'controller vm.drain', 'controller vm.drained', 'controller vm.left'])
})

t.test('a drain wished while the agent is away is told when it is back', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  agent.socket?.hangUp()
  await world.fleet.requestDrain('vm-1', { reason: 'operator', after: 'hold', by: 'operator:ann' })
  await world.rest()
  t.same(world.mesh.endpoints('vm-1'), ['closed'], 'closed at once')
  const socket = agent.connect()
  await world.rest()
  t.same(
    socket.received.map((m) => m.kind),
    ['welcome', 'drain'],
  )
  t.equal(await world.phase('vm-1'), 'draining')
  const told = await world.fleet.explain('vm-1')
  t.match(told, { cause: /Drained/, fix: /held drained on purpose/ })
})

t.test('two of a service that drain at once both know that no endpoint stays', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agents = [await world.serve('vm-1'), await world.serve('vm-2'), await world.serve('vm-3')]
  for (const agent of agents) agent.obeys = false
  const drain = (vm: string) =>
    world.fleet.requestDrain(vm, { reason: 'operator', after: 'leave', by: 'operator:ann' })
  await drain('vm-1')
  await world.rest()
  await Promise.all([drain('vm-2'), drain('vm-3')])
  await world.rest()
  const last = agents.map((a) =>
    a.socket?.received.flatMap((m) => (m.kind === 'drain' ? [m.lastEndpoint] : [])),
  )
  t.same(last, [[false], [true], [true]])
})

t.test('an agent that ignores its drain is closed all the same, and the fleet says so', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  agent.obeys = false
  await world.fleet.requestDrain('vm-1', {
    reason: 'operator',
    after: 'leave',
    by: 'operator:ann',
    deadlineSeconds: 3,
  })
  await world.beat(['vm-1'], 14_000)
  t.equal(await world.phase('vm-1'), 'draining')
  t.same(world.mesh.endpoints('vm-1'), ['closed'])
  t.match(await world.fleet.explain('vm-1'), { step: 'Drained', cause: /did not say in time/ })
})

t.test('a removed VM is drained, denied until its certificates have ended, and not let back', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  await world.fleet.remove('vm-1', { by: 'operator:ann', now: false })
  await world.rest()
  t.equal(
    agent.socket?.received.some((m) => m.kind === 'drain' && m.reason === 'removed'),
    true,
  )
  t.equal(agent.saidBye, true)
  t.equal(agent.socket?.closed?.code, 4003)
  t.same(world.mesh.endpoints('vm-1'), [])
  const denial = 'AuthorizationPolicy/istio-system/evicted-vm-1'
  t.ok(world.mesh.objects.has(denial))
  const again = agent.connect()
  await world.rest()
  t.same(again.received, [{ kind: 'bye', revoked: true }])
  t.equal(again.closed?.code, 4003)
  await t.rejects(world.fleet.bundle('vm-1', world.never), { code: 'KEY_REVOKED' })
  await world.clock.advance(3_600_000)
  await world.rest()
  t.notOk(world.mesh.objects.has(denial))
})

t.test("a removed VM's denial ends when another VM is admitted at its address", async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.serve('vm-1')
  await world.fleet.remove('vm-1', { by: 'operator:ann', now: true })
  await world.rest()
  const denial = 'AuthorizationPolicy/istio-system/evicted-vm-1'
  t.ok(world.mesh.objects.has(denial))
  await world.admit('vm-2', { address: '10.0.0.1' })
  await world.fleet.settle('vm-2', world.never)
  t.notOk(world.mesh.objects.has(denial))
  t.same(world.mesh.endpoints('vm-2'), ['none'])
  await world.rest()
  t.notOk(world.mesh.objects.has(denial), 'and it does not come back')
})

t.test('a lost VM and its late events do not touch the one that has its address now', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const old = await world.serve('vm-1')
  await world.clock.advance(5_000)
  await world.rest()
  t.equal(await world.phase('vm-1'), 'lost')
  t.equal(world.fleet.isLive('vm-1'), false)

  await world.admit('vm-2', { address: '10.0.0.1' })
  await world.fleet.settle('vm-2', world.never)
  t.same(world.mesh.endpoints('vm-1'), [], 'the old entry is gone before the new one is used')
  const agent = world.agent('vm-2')
  agent.connect()
  agent.report({ health: 'healthy' })
  await world.rest()
  t.same(world.mesh.endpoints('vm-2'), ['open'])

  old.report({ health: 'healthy' })
  await world.rest()
  old.say({ kind: 'heartbeat' })
  old.report({ health: 'unhealthy' })
  old.say({ kind: 'left' })
  old.socket?.hangUp()
  await world.rest()
  t.same(world.mesh.endpoints('vm-2'), ['open'])
  t.same(world.mesh.endpoints('vm-1'), [])
})

t.test(
  'a lost VM that returns to a taken address says why it does not serve, until the address is free',
  async (t) => {
    const world = await started()
    t.teardown(world.close)
    const old = await world.serve('vm-1')
    await world.clock.advance(5_000)
    await world.serve('vm-2', { address: '10.0.0.1' })
    old.connect()
    await world.beat(['vm-1', 'vm-2'], 3_000)
    t.equal(await world.phase('vm-1'), 'lost')
    t.match(await world.fleet.explain('vm-1'), {
      ready: false,
      step: 'EntryWritten',
      cause: /belongs to vm-2/,
      fix: /./,
    })
    await world.fleet.remove('vm-2', { by: 'operator:ann', now: true })
    await world.beat(['vm-1'], 3_000)
    t.same(world.mesh.endpoints('vm-1'), ['open'])
    t.notOk(world.mesh.objects.has('AuthorizationPolicy/istio-system/evicted-vm-2'), 'and it is not denied')
  },
)

t.test('a bundle carries a token, and the record knows how long certificates by it may last', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.admit('vm-1')
  const bundle = await world.fleet.bundle('vm-1', world.never)
  t.equal(bundle.token.value, 'token of vm-1')
  t.equal(bundle.workload.serviceAccount, 'web')
  const record = await world.record('vm-1')
  t.equal(record?.workloadCertificateUntil, bundle.token.expiresAt + 3_600_000)
  await t.rejects(world.fleet.bundle('vm-9', world.never), { code: 'NOT_FOUND' })
  await world.admit('vm-2', { pool: 'none' })
  await t.rejects(world.fleet.bundle('vm-2', world.never), { code: 'POOL_UNKNOWN' })
})

t.test('a changed pool changes entries, objects and bundles of its VMs', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  const first = await world.fleet.bundle('vm-1', world.never)
  agent.report({ bundleRevision: first.revision })
  await world.rest()
  await world.putPool('web', { ...webSpec, labels: { tier: 'front' } })
  await world.rest()
  const second = await world.fleet.bundle('vm-1', world.never)
  t.not(second.revision, first.revision)
  t.match(agent.socket?.received.at(-1), { kind: 'refresh', bundleRevision: second.revision })
  t.match(world.mesh.objects.get('WorkloadEntry/shop/vm-1'), { spec: { labels: { tier: 'front' } } })
  t.same(world.mesh.endpoints('vm-1'), ['open'])
})

t.test('a root certificate that rotates reaches every VM by the next resync', async (t) => {
  const world = await started({ settings: { resyncMs: 60_000 } })
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  agent.report({ bundleRevision: (await world.fleet.bundle('vm-1', world.never)).revision })
  await world.beat(['vm-1'], 76_000)
  const told = agent.socket?.received.length ?? 0
  world.mesh.meshFacts = { ...world.mesh.meshFacts, rootCertificates: 'OLD AND NEW PEM' }
  await world.beat(['vm-1'], 76_000)
  const { revision } = await world.fleet.bundle('vm-1', world.never)
  t.same(agent.socket?.received.slice(told), [{ kind: 'refresh', bundleRevision: revision }])
})

t.test('a wish for a VM that does not exist is refused', async (t) => {
  const world = await started()
  t.teardown(world.close)
  for (const wish of [
    world.fleet.requestDrain('vm-9', { reason: 'operator', after: 'leave', by: 'operator:ann' }),
    world.fleet.remove('vm-9', { by: 'operator:ann', now: true }),
  ]) {
    const error = await wish.catch((error: unknown) => error)
    t.equal(isMooringError(error, 'NOT_FOUND'), true)
  }
  t.equal(await world.fleet.view('vm-9'), undefined)
  t.equal(await world.fleet.explain('vm-9'), undefined)
})

t.test('who watches sees every change and the end', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const seen: string[] = []
  const stop = world.fleet.subscribe((event) => {
    seen.push(event.kind === 'vm' ? `${event.view.id} ${event.view.phase}` : `${event.id} gone`)
  })
  await world.admit('vm-1')
  await world.fleet.settle('vm-1', world.never)
  world.agent('vm-1').connect()
  await world.rest()
  world.agent('vm-1').report({ health: 'healthy' })
  await world.rest()
  const phases = seen.filter((line, i) => line !== seen[i - 1])
  t.same(phases, ['vm-1 joining', 'vm-1 joined', 'vm-1 ready'])
  await world.store.commit([{ remove: 'vm', name: 'vm-1' }])
  await world.rest()
  t.equal(seen.at(-1), 'vm-1 gone')
  t.same(world.mesh.endpoints('vm-1'), [], 'a VM without a record has no entry')
  stop()
  const count = seen.length
  await world.serve('vm-2')
  t.equal(seen.length, count)
})

t.test('a closing controller asks agents to come back, and changes nothing in the mesh', async (t) => {
  const world = await started()
  const agent = await world.serve('vm-1')
  const calls = world.mesh.calls.length
  await world.fleet.close()
  t.equal(agent.socket?.closed?.code, 4503)
  t.equal(world.mesh.calls.length, calls)
  t.equal(world.clock.sleepers, 0, 'no timer is left')
  await world.store.close()
})
