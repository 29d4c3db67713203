import t from 'tap'
import { createTestAuthority } from '../../fakes/authority.ts'
import { createFakeController, type FakeControllerOptions } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'
import { createTestVm, type TestVmOptions } from './vm.ts'

const other = await createTestAuthority('Somebody else')

const distrusted: Record<string, Omit<TestVmOptions, 'controller'>> = {
  'the pin is of another key': { trust: { pin: other.pin } },
  'the CA file holds another authority': { trust: { ca: other.certificate } },
}

for (const [name, options] of Object.entries(distrusted)) {
  t.test(`${name}: the agent sends nothing, and says so`, async (t) => {
    const controller = await createFakeController()
    const vm = await createTestVm({ controller, ...options })
    t.teardown(() => Promise.all([vm.close(), controller.close()]))
    vm.start()
    const identity = await waitFor(
      async () => (await vm.status()).conditions.find(({ reason }) => reason === 'CONTROLLER_UNTRUSTED'),
      { what: 'the refusal', onTimeout: vm.log },
    )
    t.match(identity, { type: 'IdentityValid', status: 'False' })
    t.same(controller.requests, [], 'the controller saw no request')
    const doctor = await vm.agent('doctor', '--json')
    t.equal(doctor.code, 1)
    const findings = JSON.parse(doctor.stdout) as { check: string; result: string; code?: string }[]
    t.match(
      findings.find(({ check }) => check === 'controller'),
      { result: 'wrong', code: 'CONTROLLER_UNTRUSTED' },
    )
    t.same(controller.requests, [], 'nor did doctor send one')
  })
}

t.test('a CA file is as good as a pin', async (t) => {
  const controller = await createFakeController()
  const vm = await createTestVm({ controller, trust: { ca: controller.authority.certificate } })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  const status = await waitFor(
    async () => {
      const view = await vm.status()
      return view.connected && view
    },
    { what: 'a stream', onTimeout: vm.log },
  )
  t.equal(status.vm, controller.open[0])
})

const day = 24 * 3_600_000
const outOfTime: Record<string, { from: number; until: number; words: RegExp }> = {
  'not valid yet': { from: day, until: 2 * day, words: /is not valid yet by the clock of this VM/ },
  'valid no more': { from: -2 * day, until: -day, words: /has ended by the clock of this VM/ },
}

for (const [name, { from, until, words }] of Object.entries(outOfTime)) {
  t.test(`a certificate that is ${name} by this VM's clock is called a matter of the clock`, async (t) => {
    const authority = await createTestAuthority()
    const validity = { from: new Date(Date.now() + from), until: new Date(Date.now() + until) }
    const options: FakeControllerOptions = { authority, server: await authority.server({ validity }) }
    const controller = await createFakeController(options)
    const vm = await createTestVm({ controller })
    t.teardown(() => Promise.all([vm.close(), controller.close()]))
    vm.start()
    const identity = await waitFor(
      async () => (await vm.status()).conditions.find(({ reason }) => reason === 'CLOCK_WRONG'),
      { what: 'the words', onTimeout: vm.log },
    )
    t.match(identity.message, words)
    t.same(controller.requests, [])
  })
}

t.test('a certificate for another address is not trusted', async (t) => {
  const authority = await createTestAuthority()
  const server = await authority.server({ addresses: ['192.0.2.1'] })
  const controller = await createFakeController({ authority, server })
  const vm = await createTestVm({ controller })
  t.teardown(() => Promise.all([vm.close(), controller.close()]))
  vm.start()
  await waitFor(
    async () => (await vm.status()).conditions.find(({ reason }) => reason === 'CONTROLLER_UNTRUSTED'),
    { what: 'the refusal', onTimeout: vm.log },
  )
  t.same(controller.requests, [])
})
