import t from 'tap'
import { createFleetWorld } from './fleet-world.ts'

async function started(options: Parameters<typeof createFleetWorld>[0] = {}) {
  const world = createFleetWorld(options)
  await world.putPool('web')
  await world.fleet.start(world.never)
  await world.rest()
  return world
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `vm-${i + 1}`)

t.test('all VMs fall silent at once: none is closed, and it is said loudly', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const all = names(10)
  for (const vm of all) await world.serve(vm)
  await world.beat(all, 3_000)
  await world.clock.advance(8_000)
  await world.rest()
  for (const vm of all) t.same(world.mesh.endpoints(vm), ['open'], vm)
  const audit = await world.audit.query({ target: 'fleet' })
  t.same(
    audit.map((r) => r.action),
    ['guard.hold'],
  )
  t.match((await world.metrics.read()).text, /^mooring_closing_held 1$/m)
  t.match(await world.fleet.explain('vm-1'), {
    step: 'Connected',
    summary: /like too many others at once/,
    fix: /network between controller and VMs/,
  })

  // Most come back; what does not is closed once the others had their time.
  const back = all.slice(2)
  await world.beat(back, 17_000)
  for (const vm of back) t.same(world.mesh.endpoints(vm), ['open'], vm)
  for (const vm of ['vm-1', 'vm-2']) t.same(world.mesh.endpoints(vm), ['closed'], vm)
  t.match((await world.metrics.read()).text, /^mooring_closing_held 0$/m)
})

t.test(
  'nobody comes back: closing is held for the grace period and no longer, also across a restart',
  async (t) => {
    const world = await started()
    t.teardown(world.close)
    const all = names(5)
    for (const vm of all) await world.serve(vm)
    await world.beat(all, 2_000)
    await world.clock.advance(100_000)
    await world.rest()
    t.same(world.mesh.endpoints('vm-1'), ['open'])
    await world.restart()
    await world.clock.advance(100_000)
    await world.rest()
    t.same(world.mesh.endpoints('vm-1'), ['open'])
    await world.clock.advance(105_000)
    await world.rest()
    for (const vm of all) t.same(world.mesh.endpoints(vm), ['closed'], vm)
  },
)

t.test('one of many falls silent and is closed in its time', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const all = names(8)
  for (const vm of all) await world.serve(vm)
  await world.beat(all, 2_000)
  await world.beat(all.slice(1), 5_000)
  t.same(world.mesh.endpoints('vm-1'), ['closed'])
  for (const vm of all.slice(1)) t.same(world.mesh.endpoints(vm), ['open'], vm)
})

t.test(
  'after a restart the last state holds for a window; who comes back serves on, who does not is closed',
  async (t) => {
    const world = await started()
    t.teardown(world.close)
    const all = names(6)
    for (const vm of all) await world.serve(vm)
    const writes = world.mesh.calls.length
    await world.restart()
    await world.rest()
    await world.clock.advance(3_000)
    for (const vm of all.slice(1)) world.agent(vm).connect()
    await world.beat(all.slice(1), 16_000)
    t.same(world.mesh.endpoints('vm-1'), ['open'], 'in the window')
    await world.beat(all.slice(1), 2_000)
    t.same(world.mesh.endpoints('vm-1'), ['closed'])
    for (const vm of all.slice(1)) t.same(world.mesh.endpoints(vm), ['open'], vm)
    t.equal(world.mesh.calls.length, writes + 1, 'nothing else was written into the mesh')
  },
)

t.test(
  'a mesh that cannot be written: said in the conditions, and made up for when it is back',
  async (t) => {
    for (const fault of ['before', 'after'] as const) {
      const world = await started()
      const agent = await world.serve('vm-1')
      world.mesh.fault = fault
      agent.report({ health: 'unhealthy' })
      await world.rest()
      t.equal(await world.phase('vm-1'), 'ready', 'the record does not say what is not the case')
      t.match(await world.fleet.explain('vm-1'), {
        step: 'EntryWritten',
        cause: /told to fail/,
        fix: /readyz/,
      })
      world.mesh.fault = 'none'
      await world.beat(['vm-1'], 4_000)
      t.equal(await world.phase('vm-1'), 'unhealthy')
      t.same(world.mesh.endpoints('vm-1'), ['closed'])
      t.match(
        (await world.record('vm-1'))?.conditions.find((c) => c.type === 'EntryWritten'),
        { status: 'True' },
        fault,
      )
      await world.close()
    }
  },
)

t.test('settle fails when the entry cannot be written, and the next one does it', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.admit('vm-1')
  await world.rest()
  world.mesh.fault = 'before'
  world.mesh.lose({ kind: 'WorkloadEntry', namespace: 'shop', name: 'vm-1' })
  await world.admit('vm-2')
  await t.rejects(world.fleet.settle('vm-2', world.never), { code: 'MESH_UNAVAILABLE' })
  world.mesh.fault = 'none'
  await world.fleet.settle('vm-2', world.never)
  t.same(world.mesh.endpoints('vm-2'), ['none'])
})

t.test('a start finds what a crash left: orphans go, what is missing comes back', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.serve('vm-1')
  await world.serve('vm-2')
  const entry = world.mesh.objects.get('WorkloadEntry/shop/vm-1')
  const sidecar = world.mesh.objects.get('Sidecar/shop/web')
  if (entry === undefined || sidecar === undefined) return t.fail('nothing was written')
  world.kill()
  world.mesh.plant({ ...entry, metadata: { ...entry.metadata, name: 'vm-ghost' } })
  world.mesh.plant({ ...entry, metadata: { ...entry.metadata, namespace: 'elsewhere' } })
  world.mesh.plant({ ...sidecar, metadata: { ...sidecar.metadata, name: 'ghost' } })
  world.mesh.lose({ kind: 'WorkloadEntry', namespace: 'shop', name: 'vm-2' })
  world.mesh.lose({ kind: 'Sidecar', namespace: 'shop', name: 'web' })
  await world.restart()
  await world.rest()
  t.same(world.mesh.endpoints('vm-ghost'), [])
  t.same(world.mesh.endpoints('vm-1'), ['open'])
  t.same(world.mesh.endpoints('vm-2'), ['open'])
  t.same(
    [...world.mesh.objects.keys()].filter((key) => key.startsWith('Sidecar/')),
    ['Sidecar/shop/web'],
  )
})

t.test('a resync repairs what others changed in the mesh meanwhile', async (t) => {
  const world = await started({ settings: { resyncMs: 60_000 } })
  t.teardown(world.close)
  await world.serve('vm-1')
  const agent = await world.serve('vm-2')
  agent.report({ health: 'unhealthy' })
  await world.rest()
  const entry = world.mesh.objects.get('WorkloadEntry/shop/vm-1')
  if (entry === undefined) return t.fail('nothing was written')
  world.mesh.plant({ ...entry, metadata: { ...entry.metadata, name: 'vm-2' } })
  world.mesh.lose({ kind: 'WorkloadEntry', namespace: 'shop', name: 'vm-1' })
  await world.beat(['vm-1', 'vm-2'], 76_000)
  t.same(world.mesh.endpoints('vm-1'), ['open'])
  t.same(world.mesh.endpoints('vm-2'), ['closed'])
})

t.test('objects of a host that two pools share stay until both pools are gone', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.putPool('web-canary')
  await world.rest()
  const address = () => world.mesh.objects.get('ServiceEntry/shop/web.shop.internal')?.spec.addresses
  const first = address()
  await world.removePool('web')
  await world.rest()
  t.same(address(), first)
  await world.removePool('web-canary')
  await world.rest()
  t.equal(address(), undefined)
  t.ok(world.mesh.objects.has('PeerAuthentication/istio-system/default'), "the mesh's own object stays")
})

t.test('a record that others write all the time loses nobody’s write', async (t) => {
  const world = await started()
  t.teardown(world.close)
  const agent = await world.serve('vm-1')
  const { store } = world
  const commit = store.commit.bind(store)
  let meddles = 8
  // Somebody renews the VM's certificate whenever the fleet is about to write.
  store.commit = async (writes) => {
    const [write] = writes
    if (meddles > 0 && write !== undefined && 'put' in write && write.put === 'vm') {
      meddles -= 1
      const stored = await store.get('vm', 'vm-1')
      if (stored !== undefined) {
        const value = { ...stored.value, certificateExpiresAt: stored.value.certificateExpiresAt + 1 }
        await commit([{ put: 'vm', name: 'vm-1', value, version: stored.version }])
      }
    }
    return commit(writes)
  }
  const before = (await world.record('vm-1'))?.certificateExpiresAt ?? 0
  agent.report({ health: 'unhealthy' })
  await world.rest()
  const record = await world.record('vm-1')
  t.equal(record?.phase, 'unhealthy')
  t.equal(record?.certificateExpiresAt, before + 8)
  t.same(world.mesh.endpoints('vm-1'), ['closed'])
  meddles = 3
  agent.report({ health: 'healthy' })
  await world.fleet.settle('vm-1', world.never)
  t.equal(await world.phase('vm-1'), 'ready', 'who waits for it sees no conflict')
})

t.test('the fleet starts when the mesh can be read, not before', async (t) => {
  const world = createFleetWorld()
  t.teardown(world.close)
  await world.putPool('web')
  const list = world.mesh.list
  let failures = 3
  world.mesh.list = async (signal) => {
    failures -= 1
    if (failures >= 0) throw new Error('not yet')
    return list(signal)
  }
  let started = false
  const starting = world.fleet.start(world.never).then(() => {
    started = true
  })
  await world.clock.advance(0)
  t.equal(started, false)
  await world.clock.advance(10_000)
  await starting
  await world.rest()
  t.ok(world.mesh.objects.has('Sidecar/shop/web'))
  const abort = new AbortController()
  abort.abort(new Error('stopped'))
  failures = 1
  await t.rejects(world.fleet.start(abort.signal), { message: 'stopped' })
})

t.test('figures tell pools, phases, streams and what was done', async (t) => {
  const world = await started()
  t.teardown(world.close)
  await world.serve('vm-1')
  await world.serve('vm-2')
  await world.fleet.requestDrain('vm-2', { reason: 'scale-in', after: 'leave', by: 'operator:ann' })
  await world.rest()
  const { text } = await world.metrics.read()
  for (const line of [
    'mooring_vms{pool="web",phase="ready"} 1',
    'mooring_vms{pool="web",phase="left"} 1',
    'mooring_streams 1',
    'mooring_queue_depth 0',
    'mooring_drains_total{result="quiet"} 1',
    'mooring_transitions_total{from="draining",to="left"} 1',
    'mooring_stream_messages_total{kind="hello"} 2',
  ]) {
    t.ok(text.split('\n').includes(line), line)
  }
})
