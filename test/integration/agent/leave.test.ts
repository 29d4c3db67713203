import t, { type Test } from 'tap'
import { createFakeController, type FakeController } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm, type TestVm } from './vm.ts'

async function world(t: Test): Promise<{ controller: FakeController; vm: TestVm }> {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  return { controller, vm }
}

const farewells = (controller: FakeController) =>
  controller.heard.map(({ kind }) => kind).filter((kind) => /^(drain-request|drained|left)$/.test(kind))

t.test('SIGTERM while a join is under way: its VM is taken back', async (t) => {
  const { controller, vm } = await world(t)
  const held = Promise.withResolvers<'answer'>()
  controller.conduct.join = () => held.promise
  const agent = vm.start()
  await waitFor(() => controller.joins.length === 1, { what: 'the join', onTimeout: vm.log })
  agent.kill('SIGTERM')
  held.resolve('answer')
  t.equal(await vm.ended(agent), 0, vm.log())
  t.same(farewells(controller), ['drain-request', 'drained', 'left'])
})

t.test('SIGTERM before anything was joined ends at once', async (t) => {
  const { controller, vm } = await world(t)
  await controller.close()
  const agent = vm.start()
  await waitFor(() => /CONTROLLER_UNREACHABLE/.test(vm.log()), { what: 'a try' })
  agent.kill('SIGTERM')
  t.equal(await vm.ended(agent), 0)
})

t.test('SIGTERM while the controller is gone: it leaves by itself, with a warning', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  await controller.close()
  agent.kill('SIGTERM')
  t.equal(await vm.ended(agent), 0)
  t.match(vm.log(), /the controller does not close the endpoint/)
  t.ok((await vm.state()).left)
})

t.test('a second SIGTERM waits for nobody', async (t) => {
  const { controller, vm } = await world(t)
  controller.conduct.orderly = false
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  agent.kill('SIGTERM')
  await waitFor(() => farewells(controller).includes('drain-request'), { what: 'the wish' })
  agent.kill('SIGTERM')
  t.equal(await vm.ended(agent), 0)
  t.ok((await vm.state()).left)
})

t.test('leave and join by the command line', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const left = await vm.agent('leave')
  t.equal(left.code, 0, left.stderr)
  t.match(left.stdout, /left/)
  t.match(await vm.status(), { stage: 'left', connected: false })
  t.equal(agent.exitCode, null, 'the agent stays')
  t.same(controller.open, [], 'an idle agent holds no stream')

  t.equal((await vm.agent('join')).code, 0)
  await waitFor(() => controller.open.length === 1, { what: 'another stream', onTimeout: vm.log })
  t.equal(controller.joins[1]?.evidence.method, 'renew')
})

t.test('leave where the agent has died: the command leaves by itself, once', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  agent.kill('SIGKILL')
  await vm.ended(agent)
  await waitFor(() => controller.open.length === 0, { what: 'its stream to end' })

  const left = await vm.agent('leave', '--reason', 'shutdown')
  t.equal(left.code, 0, left.stderr)
  t.match(left.stdout, /left/)
  t.match(left.stderr, /no agent runs: this command takes the VM out of the mesh/)
  t.same(farewells(controller), ['drain-request', 'drained', 'left'], 'in the same order as always')
  const { left: told } = await vm.state()
  t.match(told, { reason: 'shutdown' })
  t.equal(told?.untold, undefined, 'the controller knows')
  t.equal(controller.joins.length, 1, 'nothing was joined for it')
  const again = await vm.agent('leave')
  t.equal(again.code, 3, 'there is nothing left to leave')

  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'the VM to come back', onTimeout: vm.log })
})

t.test('two commands in the place of a dead agent: one leaves, both are answered', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  agent.kill('SIGKILL')
  await vm.ended(agent)
  const answers = await Promise.all([vm.agent('leave'), vm.agent('leave')])
  for (const { code } of answers) t.ok(code === 0 || code === 3, `exit code ${code}`)
  t.ok(answers.some(({ code }) => code === 0))
  t.equal(farewells(controller).filter((kind) => kind === 'left').length, 1)
})

t.test('two who ask at once are both answered', async (t) => {
  const { controller, vm } = await world(t)
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const answers = await Promise.all([vm.agent('leave'), vm.agent('leave')])
  for (const { code, stdout } of answers) {
    t.equal(code, 0)
    t.match(stdout, /left/)
  }
  t.equal(farewells(controller).filter((kind) => kind === 'left').length, 1)
})

t.test('drain holds: drained, and still there', async (t) => {
  const { controller, vm } = await world(t)
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const drained = await vm.agent('drain')
  t.match(drained.stdout, /held/)
  t.match(await vm.status(), { stage: 'held', connected: true })
  t.same(farewells(controller), ['drain-request', 'drained'])
  t.match((await vm.agent('leave')).stdout, /left/)
})

t.test('the controller drains this VM: it leaves and stays away', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const order = { kind: 'drain', deadlineMs: 1_000, quietMs: 100, lastEndpoint: false, after: 'leave' }
  controller.send({ ...order, reason: 'scale-in' })
  await waitFor(async () => (await vm.status()).stage === 'left', { what: 'it to leave', onTimeout: vm.log })
  t.same(farewells(controller), ['drained', 'left'])
  t.equal(agent.exitCode, null)
  t.match((await vm.state()).left, { reason: 'scale-in' })
  agent.kill('SIGTERM')
  t.equal(await vm.ended(agent), 0)
})

t.test('a shutdown that a killed agent began is finished, and the VM comes back', async (t) => {
  const { controller, vm } = await world(t)
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const order = { kind: 'drain', deadlineMs: 1_000, quietMs: 100, lastEndpoint: false, after: 'leave' }
  controller.send({ ...order, reason: 'shutdown' })
  await waitFor(() => controller.joins.length === 2 && controller.open.length === 1, {
    what: 'another life',
    onTimeout: vm.log,
  })
  t.same(farewells(controller), ['drained', 'left'])
  t.equal(controller.joins[1]?.evidence.method, 'renew')
})

t.test('drained while the controller is down: it is told when it is back, however late', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  const joins = controller.joins.length
  await controller.close()
  t.match((await vm.agent('leave')).stdout, /left/, 'the command waits for nobody')
  t.match((await vm.state()).left, { reason: 'operator', untold: true })
  await waitFor(() => /the controller did not confirm/.test(vm.log()), { what: 'the agent to say so' })
  t.same(farewells(controller), [])
  t.match(await vm.status(), { stage: 'left', connected: false, trouble: /./ })

  await controller.listen()
  await waitFor(() => farewells(controller).includes('left'), { what: 'the farewell', onTimeout: vm.log })
  await waitFor(async () => (await vm.state()).left?.untold === undefined, { what: 'it to be stored' })
  t.same(farewells(controller), ['left'])
  t.match(
    controller.heard.findLast(({ kind }) => kind === 'hello'),
    { status: { health: 'unhealthy' } },
  )
  t.equal(controller.joins.length, joins, 'nothing was joined for it')
  t.equal(agent.exitCode, null)
  await waitFor(() => controller.open.length === 0, { what: 'the stream to end' })

  t.equal((await vm.agent('join')).code, 0)
  await waitFor(() => controller.open.length === 1, { what: 'another life', onTimeout: vm.log })
  t.equal(farewells(controller).length, 1, 'once is enough')
})

t.test('the controller goes before it has confirmed a drain that it ordered: it is told again', async (t) => {
  const { controller, vm } = await world(t)
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  controller.conduct.orderly = false
  const order = { kind: 'drain', deadlineMs: 1_000, quietMs: 100, lastEndpoint: false, after: 'leave' }
  controller.send({ ...order, reason: 'scale-in' })
  await waitFor(() => farewells(controller).includes('left'), { what: 'the farewell', onTimeout: vm.log })
  await controller.close()
  await waitFor(async () => (await vm.status()).stage === 'left', { what: 'it to leave', onTimeout: vm.log })
  t.match((await vm.state()).left, { reason: 'scale-in', untold: true })
  controller.conduct.orderly = true
  await controller.listen()
  await waitFor(async () => (await vm.state()).left?.untold === undefined, {
    what: 'it to be confirmed',
    onTimeout: vm.log,
  })
  t.ok(farewells(controller).filter((kind) => kind === 'left').length >= 2)
  t.equal(controller.joins.length, 1, 'and it stays away')
})

t.test('the agent ends before it could be told: the next start says it, and joins anew', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  await controller.close()
  t.match((await vm.agent('leave')).stdout, /left/)
  agent.kill('SIGTERM')
  t.equal(await vm.ended(agent), 0, 'a shutdown does not wait for it')
  t.match((await vm.state()).left, { untold: true })

  const heard = controller.heard.length
  vm.start()
  await controller.listen()
  await waitFor(() => controller.joins.length === 2, { what: 'another join', onTimeout: vm.log })
  const kinds = () => controller.heard.slice(heard).map(({ kind }) => kind)
  await waitFor(() => kinds().filter((kind) => kind === 'hello').length === 2, { what: 'another life' })
  t.same(
    kinds()
      .filter((kind) => kind === 'hello' || kind === 'left')
      .slice(0, 3),
    ['hello', 'left', 'hello'],
  )
  t.equal((await vm.state()).left, undefined)
})

t.test('a controller that has forgotten this VM meanwhile need not be told', async (t) => {
  const { controller, vm } = await world(t)
  const agent = vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'a stream', onTimeout: vm.log })
  await controller.close()
  await vm.agent('leave')
  agent.kill('SIGTERM')
  await vm.ended(agent)
  let refused = 0
  controller.conduct.stream = () => {
    refused += 1
    return refused === 1 ? 'UNAUTHENTICATED' : 'take'
  }
  await controller.listen()
  vm.start()
  await waitFor(() => controller.open.length === 1, { what: 'another life', onTimeout: vm.log })
  t.equal(controller.joins.length, 2)
  t.same(farewells(controller), [])
  t.equal((await vm.state()).left, undefined)
})
