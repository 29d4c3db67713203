import t from 'tap'
import { startController } from '../../fakes/controller.ts'

t.test('a VM joins, opens its stream, gets ready and leaves', async (t) => {
  const house = await startController()
  t.teardown(() => house.close())
  await house.applyPool('web')
  const { token } = await house.token('web')
  const agent = await house.agent({ pool: 'web', token, address: '10.0.0.1' })
  const joined = await agent.join()
  t.match(joined.vm, /^vm-[0-9a-f]{20}$/)
  t.equal(joined.controllerCa, house.announcement.ca)
  t.equal(joined.bundle.workload.address, '10.0.0.1')
  t.same(house.mesh.endpoints(agent.vm), ['none'])
  await agent.open({ health: 'healthy' })
  while (house.mesh.endpoints(agent.vm)[0] !== 'open') await new Promise((r) => setTimeout(r, 10))
  t.equal((await house.vms())[0]?.phase, 'ready')
  const bundle = await agent.bundle()
  t.equal(bundle.revision, joined.bundle.revision)
  agent.send({ kind: 'left' })
  await agent.next('bye')
  t.same(house.mesh.endpoints(agent.vm), [])
  t.equal((await house.vms())[0]?.phase, 'left')
})
