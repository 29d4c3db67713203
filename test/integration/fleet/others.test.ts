import t, { type Test } from 'tap'
import { refOf } from '../../../controller/mesh/objects.ts'
import { MooringError } from '../../../shared/errors.ts'
import { createFleetWorld } from './fleet-world.ts'

/** A fleet in a mesh that others write to as well. */
async function started(t: Test) {
  const world = createFleetWorld({ mode: 'kubernetes' })
  t.teardown(world.close)
  await world.putPool('web')
  await world.fleet.start(world.never)
  await world.rest()
  return world
}

t.test('in a cluster a pool has what it needs there, and nothing holds for the whole mesh', async (t) => {
  const { mesh } = await started(t)
  t.same([...mesh.objects.values()].map(({ kind, metadata }) => `${kind} ${metadata.namespace}`).sort(), [
    'PeerAuthentication shop',
    'ServiceAccount shop',
    'ServiceEntry shop',
    'Sidecar shop',
    'WorkloadGroup shop',
  ])
  const service = [...mesh.objects.values()].find(({ kind }) => kind === 'ServiceEntry')
  t.notOk(service?.spec.addresses, 'istiod gives it one')
})

t.test('what others change or delete is put back at once', async (t) => {
  const world = await started(t)
  await world.serve('vm-1')
  const find = (kind: string) => [...world.mesh.objects.values()].find((object) => object.kind === kind)
  const [entry, sidecar] = [find('WorkloadEntry'), find('Sidecar')]
  if (entry === undefined || sidecar === undefined) return t.fail('they are there')

  const changed = { ...entry, spec: { ...entry.spec, address: '10.9.9.9' } }
  world.mesh.plant(changed)
  world.fleet.observed(refOf(entry), changed)
  await world.rest()
  t.same(find('WorkloadEntry'), entry)
  for (const object of [entry, sidecar]) {
    world.mesh.lose(refOf(object))
    world.fleet.observed(refOf(object), undefined)
    await world.rest()
    t.same(find(object.kind), object, object.kind)
  }
  const calls = world.mesh.calls.length
  world.fleet.observed(refOf(entry), entry)
  world.fleet.observed(refOf(sidecar), sidecar)
  await world.rest()
  t.equal(world.mesh.calls.length, calls, 'what is as it should be is left alone')
})

t.test('a fact of the mesh that changes reaches running VMs before the next full look', async (t) => {
  const world = await started(t)
  const agent = await world.serve('vm-1')
  const before = agent.socket?.received.length ?? 0
  world.mesh.meshFacts = { ...world.mesh.meshFacts, rootCertificates: 'ANOTHER PEM' }
  world.fleet.surroundingsChanged()
  await world.rest()
  t.ok((agent.socket?.received.length ?? 0) > before, 'it is told')
})

t.test('what the API server refuses is said on the VM', async (t) => {
  const world = await started(t)
  const { apply } = world.mesh
  world.mesh.apply = async (object, signal) => {
    if (object.kind !== 'WorkloadEntry') return apply(object, signal)
    throw new MooringError('KUBERNETES_FORBIDDEN', { detail: 'create workloadentries' })
  }
  await world.admit('vm-1')
  await t.rejects(world.fleet.settle('vm-1', world.never), { code: 'KUBERNETES_FORBIDDEN' })
  const record = await world.record('vm-1')
  t.match(
    record?.conditions.find(({ type }) => type === 'EntryWritten'),
    { status: 'False', reason: 'KUBERNETES_FORBIDDEN', message: /workloadentries/ },
  )
})
