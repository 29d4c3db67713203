import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createFakeController } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm } from './vm.ts'

t.test('the controller is down at boot: the agent waits, says so, and joins when it is there', async (t) => {
  const controller = await createFakeController({ listening: false })
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  const identity = await waitFor(
    async () => (await vm.status()).conditions.find(({ reason }) => reason === 'CONTROLLER_UNREACHABLE'),
    { what: 'the agent to say so', onTimeout: vm.log },
  )
  t.match(identity, { type: 'IdentityValid', status: 'False', message: /ECONNREFUSED/ })
  await controller.listen()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  t.equal(controller.joins.length, 1)
})

t.test('a state file that is half written is made up for by its copy', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  t.equal((await vm.agent('join')).code, 0)
  const whole = await readFile(vm.stateFile, 'utf8')
  const { privateKey, identity } = JSON.parse(whole)

  await writeFile(vm.stateFile, whole.slice(0, whole.length / 2))
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  t.equal((await vm.state()).privateKey, privateKey)
  t.equal(controller.open[0], identity.vm, 'the same VM')
  t.match(vm.log(), /the state file is damaged/)
})

t.test('a state that cannot be read, or is too new, ends the agent with a reason', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  await mkdir(path.dirname(vm.stateFile), { recursive: true })

  await writeFile(vm.stateFile, '{"version": 1, "privateKey"')
  await writeFile(`${vm.stateFile}.previous`, 'nonsense')
  t.equal(await vm.ended(vm.start()), 1)
  t.match(vm.log(), /STATE_UNREADABLE[\s\S]*fix:/)

  await writeFile(vm.stateFile, '{"version": 99}')
  t.equal(await vm.ended(vm.start()), 1)
  t.match(vm.log(), /STATE_TOO_NEW/)
  t.same(controller.requests, [])
})

t.test('a second agent on one machine refuses; a dead one is no obstacle', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  const first = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const second = vm.start()
  t.equal(await vm.ended(second), 4)
  t.match(vm.log(), new RegExp(`ALREADY_RUNNING\\)\\n  cause: process ${first.pid}`))
  t.equal(controller.opened, 1, 'the first was not disturbed')

  first.kill('SIGKILL')
  await vm.ended(first)
  vm.start()
  await waitFor(() => controller.opened >= 2, { what: 'another stream', onTimeout: vm.log })
  t.equal(controller.joins.length, 1, 'its certificate was still good')
})

t.test('an identity that has ended is renewed before anything else', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  controller.conduct.certificate = {
    from: new Date(Date.now() - 60_000),
    until: new Date(Date.now() - 1_000),
  }
  t.equal((await vm.agent('join')).code, 0)
  controller.conduct.certificate = { from: new Date(), until: new Date(Date.now() + 3_600_000) }
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  t.equal(controller.joins.at(-1)?.evidence.method, 'renew')
})

t.test('a key that the controller forgot is shown with fresh evidence', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  agent.kill('SIGTERM')
  await vm.ended(agent)
  controller.conduct.join = ({ evidence }) => (evidence.method === 'renew' ? 'KEY_UNKNOWN' : 'answer')
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  t.same(
    controller.joins.map(({ evidence }) => evidence.method),
    ['token', 'renew', 'token'],
  )
})
