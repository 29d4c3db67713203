import t, { type Test } from 'tap'
import { closeCodes } from '../../../shared/api/stream.ts'
import { type Conduct, createFakeController, type FakeController } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm, type TestVm } from './vm.ts'

async function world(
  t: Test,
  conduct: Partial<Conduct> = {},
): Promise<{ controller: FakeController; vm: TestVm }> {
  const controller = await createFakeController()
  Object.assign(controller.conduct, conduct)
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  await waitFor(() => controller.heard.some(({ kind }) => kind === 'hello'), {
    what: 'a stream',
    onTimeout: vm.log,
  })
  return { controller, vm }
}

t.test('a stream that is cut is opened again, with its status', async (t) => {
  const { controller, vm } = await world(t)
  controller.cut()
  await waitFor(() => controller.opened >= 2, { what: 'another stream', onTimeout: vm.log })
  await waitFor(() => controller.heard.filter(({ kind }) => kind === 'hello').length >= 2, {
    what: 'a hello',
  })
  t.equal(controller.joins.length, 1, 'it did not join again')
})

t.test('a controller that says nothing any more is left for a new stream', async (t) => {
  const { controller, vm } = await world(t, { lostAfterMs: 1_000 })
  controller.conduct.silent = true
  await waitFor(() => controller.opened >= 2, { what: 'another stream', onTimeout: vm.log })
  controller.conduct.silent = false
  await waitFor(async () => (await vm.status()).connected, { what: 'a welcome', onTimeout: vm.log })
  t.match(vm.log(), /the controller is silent/)
})

t.test('a controller that stops is come back to', async (t) => {
  const { controller, vm } = await world(t)
  controller.closeStreams(closeCodes.busy)
  await waitFor(() => controller.opened >= 2, { what: 'another stream', onTimeout: vm.log })
  t.pass('it came back')
})

t.test('another agent with the same identity: this one keeps away, and says why', async (t) => {
  const { controller, vm } = await world(t)
  controller.closeStreams(closeCodes.replaced)
  const status = await waitFor(
    async () => {
      const view = await vm.status()
      return /another agent/.test(view.trouble ?? '') && view
    },
    { what: 'the stream to be gone, with a reason', onTimeout: vm.log },
  )
  t.equal(status.connected, false)
  t.equal(controller.opened, 1)
})

t.test('a revoked key ends everything, also over a restart', async (t) => {
  const { controller, vm } = await world(t)
  controller.closeStreams(closeCodes.revoked)
  await waitFor(async () => (await vm.status()).stage === 'revoked', { what: 'the end', onTimeout: vm.log })
  t.ok((await vm.state()).revoked)
  const { requests } = controller
  const before = requests.length
  const next = await createTestVm({ controller })
  t.teardown(() => next.close())
  t.equal((await vm.agent('join')).code, 1)
  t.equal(requests.length, before, 'nothing is sent with this key any more')
})

t.test('a certificate that the controller does not accept is renewed', async (t) => {
  const { controller, vm } = await world(t)
  let refusals = 0
  controller.conduct.stream = () => {
    refusals += 1
    return refusals === 1 ? 'UNAUTHENTICATED' : 'take'
  }
  controller.cut()
  await waitFor(() => controller.opened >= 2, { what: 'another stream', onTimeout: vm.log })
  t.equal(controller.joins.at(-1)?.evidence.method, 'renew')
})

t.test('a VM that was given up for lost joins anew', async (t) => {
  const { controller, vm } = await world(t)
  controller.send({ kind: 'bye', revoked: false })
  await waitFor(() => controller.joins.length >= 2 && controller.opened >= 2, {
    what: 'another life',
    onTimeout: vm.log,
  })
  t.equal(controller.joins[1]?.evidence.method, 'renew')
  t.not((await vm.status()).stage, 'left')
})

t.test('messages of a newer controller, and nonsense, do no harm', async (t) => {
  const { controller, vm } = await world(t)
  controller.send({ kind: 'sing', song: 'x' })
  controller.send({ kind: 'drain', reason: 'because' })
  const before = controller.heard.length
  await waitFor(() => controller.heard.length > before + 3, { what: 'it to go on' })
  t.match(await vm.status(), { connected: true, stage: 'converging' }, vm.log())
})

t.test('a new revision of the bundle is fetched at once', async (t) => {
  const { controller, vm } = await world(t)
  controller.conduct.bundle = { revision: 'r2' }
  controller.send({ kind: 'refresh', bundleRevision: 'r2' })
  await waitFor(async () => (await vm.status()).bundleRevision === 'r2', {
    what: 'the new bundle',
    onTimeout: vm.log,
  })
  await waitFor(() => controller.heard.some((m) => m.kind === 'status' && m.status.bundleRevision === 'r2'), {
    what: 'the controller to be told',
  })
  t.equal(controller.requests.filter(({ path }) => path === '/v1/bundle').length, 1)
})

t.test('a workload token is renewed before two thirds of its life, without joining', async (t) => {
  const controller = await createFakeController()
  controller.conduct.tokenUntil = () => Date.now() + 4_000
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  await waitFor(() => controller.requests.filter(({ path }) => path === '/v1/bundle').length >= 2, {
    what: 'two renewals',
    onTimeout: vm.log,
  })
  t.equal(controller.joins.length, 1)
})

t.test('facts about the machine are told once, after the boot', async (t) => {
  const { controller, vm } = await world(t)
  const facts = await waitFor(() => controller.heard.find(({ kind }) => kind === 'facts'), {
    what: 'facts',
    onTimeout: vm.log,
  })
  t.match(facts, { facts: { 'os.kernel': /\d/, 'memory.mb': /^\d+$/ } })
})
