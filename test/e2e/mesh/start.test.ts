import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { refOf } from '../../../controller/mesh/objects.ts'
import { identify, isAlive } from '../../../controller/mesh/standalone/process-table.ts'
import { createNetwork } from '../../testbed/network/network.ts'
import { ensureParts } from '../../testbed/parts/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { waitFor } from '../../world/waiting.ts'
import { startMeshHost } from './mesh-host.ts'
import { entryOf, shopObjects } from './shop.ts'

const parts = await ensureParts({ progress: silentProgress })

const vms = Array.from({ length: 45 }, (_, i) => ({ name: `vm-${i}`, address: `10.1.0.${i + 1}` }))

t.test('over a folder full of objects the gate opens only when all are served', async (t) => {
  const network = await createNetwork({ name: 'mesh-start' })
  t.teardown(() => network.close())
  const first = await startMeshHost(network, parts.istiod)
  await first.apply(...shopObjects, ...vms.map((vm, i) => entryOf(vm, i % 3 === 0 ? 'closed' : 'open')))
  const objects = (await first.list()).length
  t.equal(objects, 49)
  await first.close()
  for (let round = 1; round <= 10; round += 1) {
    const mesh = await startMeshHost(network, parts.istiod)
    const entrance = mesh.firstEntrance()
    await mesh.start()
    // 30 open entries with two ports each; the sentinel is an object too.
    t.same(await entrance, { services: 1, endpoints: 60, objects: objects + 1 }, `start ${round}`)
    t.equal((await mesh.list()).length, objects)
    // Half of the times it gets no chance to clean up.
    if (round % 2 === 0) await mesh.close()
    else await mesh.kill()
  }
})

t.test('an istiod whose controller was killed is ended by the next one', async (t) => {
  const network = await createNetwork({ name: 'mesh-orphan' })
  t.teardown(() => network.close())
  const first = await startMeshHost(network, parts.istiod)
  await first.start()
  const orphan = await identify('/proc', await first.istiodPid())
  if (orphan === undefined) throw new Error('istiod does not run')
  await first.kill()
  t.equal(await isAlive('/proc', orphan), true, 'it outlives its controller')
  const second = await startMeshHost(network, parts.istiod)
  await second.start()
  t.equal(await isAlive('/proc', orphan), false)
  t.not(await second.istiodPid(), orphan.pid)
  const running = await network.host.pids()
  t.same([...running].sort(), [second.pid, await second.istiodPid()].sort())
  await second.close()
  t.same(await network.host.pids(), [])
})

t.test('entries are taken as they flip, and what istiod cannot read is named', async (t) => {
  const network = await createNetwork({ name: 'mesh-files' })
  t.teardown(() => network.close())
  const mesh = await startMeshHost(network, parts.istiod)
  await mesh.apply(...shopObjects, ...vms.slice(0, 3).map((vm) => entryOf(vm, 'open')))
  await mesh.start()
  const [vm] = vms as [(typeof vms)[0]]
  const ref = refOf(entryOf(vm, 'open'))
  for (let flip = 0; flip < 6; flip += 1) {
    await mesh.apply(entryOf(vm, flip % 2 === 0 ? 'closed' : 'open'))
    await mesh.taken(ref)
    const { endpoints } = await mesh.firstEntrance()
    t.equal(endpoints, flip % 2 === 0 ? 4 : 6, `flip ${flip}`)
  }
  await mesh.remove(ref)
  await mesh.taken(ref)
  t.equal((await mesh.firstEntrance()).endpoints, 4)

  const part = async (name: string) => (await mesh.health()).find(({ part }) => part === name)
  const foreign = join(mesh.folder, 'objects', 'config', 'note.yaml')
  writeFileSync(foreign, 'kind: [')
  await mesh.apply(entryOf(vm, 'open'))
  await waitFor(async () => (await part('mesh objects'))?.ok === false, { what: 'the alarm' })
  t.match((await part('mesh objects'))?.detail, foreign)
  await waitFor(async () => (await part('registry'))?.ok === false, { what: 'the lag' })
  t.match((await part('registry'))?.detail, vm.address)
  writeFileSync(foreign, '# nothing\n')
  await mesh.taken(ref)
  await waitFor(async () => (await part('mesh objects'))?.ok, { what: 'the end of the alarm' })
  t.match((await part('registry'))?.ok, true)

  // An object of ours that istiod refuses does not stop the others.
  const bad = entryOf({ name: 'bad', address: 'not an address' }, 'open')
  await mesh.apply({ ...bad, spec: { ...bad.spec, ports: { http: 'eighty' } } })
  await waitFor(async () => !(await mesh.list()).some(({ metadata }) => metadata.name === 'bad'), {
    what: 'the bad object to be taken out',
    onTimeout: () => readFileSync(join(mesh.folder, 'istiod.log'), 'utf8').slice(-2000),
  })
  await mesh.apply(entryOf(vm, 'closed'))
  await mesh.taken(ref)
  t.equal((await mesh.firstEntrance()).endpoints, 4)
  await t.rejects(mesh.apply({ ...bad, spec: { ...bad.spec, ports: { http: 'eighty' } } }), {
    code: 'REQUEST_INVALID',
  })
  await mesh.close()
})

t.test('a gate whose port is taken says so, and opens when it is free', async (t) => {
  const network = await createNetwork({ name: 'mesh-port' })
  t.teardown(() => network.close())
  const squat = "require('node:net').createServer().listen(15012, '0.0.0.0', () => console.log('here'))"
  const squatter = network.host.spawn(process.execPath, ['-e', squat])
  await new Promise((resolve) => squatter.stdout?.once('data', resolve))
  const mesh = await startMeshHost(network, parts.istiod)
  const started = mesh.start()
  const gate = async () => (await mesh.health()).find(({ part }) => part === 'gate')
  await waitFor(async () => /EADDRINUSE/.test((await gate())?.detail ?? ''), { what: 'the reason' })
  squatter.kill('SIGKILL')
  await started
  t.equal((await gate())?.ok, true)
  await mesh.close()
})
