import t from 'tap'
import { call } from '../world/call.ts'
import { failuresOf } from '../world/load.ts'
import { sceneLine } from '../world/scene.ts'
import { waitFor } from '../world/waiting.ts'
import { createWorld, echo } from '../world/world.ts'

t.test('a replacement takes the address of a lost VM, and the lost one comes back late', async (t) => {
  const world = await createWorld({ name: 'address' })
  t.teardown(() => world.close())
  const caller = await world.boot('caller', 'clients')
  await world.boot('a', 'servers')
  const old = await world.boot('old', 'servers')
  const { id } = await old.view()

  // It lives on behind a pulled plug: later its agent speaks again.
  await old.vm.linkDown()
  await waitFor(async () => (await world.operator.vm(id)).phase === 'lost', {
    what: 'the old one to be lost',
  })
  const fresh = await world.boot('fresh', 'servers', { vm: { address: old.vm.address } })
  const freshId = (await fresh.view()).id
  t.not(freshId, id)

  const load = world.load(caller, { options: { 'download-seconds': 2 } })
  await load.firstOk
  await waitFor(() => load.progress().requests > 100, { what: 'load' })
  await old.killAgent()
  await old.startAgent()
  const count = load.progress().requests
  await waitFor(() => load.progress().requests > count + 200, { what: 'load while the old one is back' })
  t.equal((await world.operator.vm(freshId)).phase, 'ready', 'the new one is not closed')
  t.not((await world.operator.vm(id)).phase, 'ready', 'the old one has no endpoint')
  const summary = await load.stop()
  t.equal(summary.failed, 0, failuresOf(summary))
  t.ok((summary.instances.fresh?.answers ?? 0) > 0)
  t.comment(sceneLine('replacement-with-the-same-address', summary))
})

t.test('the address of a live VM is refused to another', async (t) => {
  const world = await createWorld({ name: 'taken' })
  t.teardown(() => world.close())
  const a = await world.boot('a', 'servers')
  await world.operator.applyPool('claims', {
    namespace: 'default',
    serviceAccount: 'echo',
    join: { methods: ['token'], cidrs: ['10.77.0.0/24'] },
    address: { cidr: `${a.vm.address}/32` },
  })
  const claimant = await world.prepare('claimant', 'claims')
  // It has the address, and tells nobody but the controller: two answers to one ARP request are another story.
  await claimant.vm.exec('sysctl', ['-qw', 'net.ipv4.conf.all.arp_ignore=1'])
  await claimant.vm.exec('ip', ['link', 'add', 'claim', 'type', 'veth', 'peer', 'name', 'claimed'])
  await claimant.vm.exec('ip', ['addr', 'add', `${a.vm.address}/32`, 'dev', 'claim'])
  for (const end of ['claim', 'claimed']) await claimant.vm.exec('ip', ['link', 'set', end, 'up'])
  await claimant.startAgent()
  const denied = await waitFor(
    async () => (await world.operator.audit()).find((r) => r.action === 'join' && r.code === 'ADDRESS_TAKEN'),
    { what: 'the refusal on record' },
  )
  t.equal(denied.outcome, 'denied')
  t.equal((await a.view()).phase, 'ready')
})

t.test('a VM joins over one network and serves on another', async (t) => {
  const world = await createWorld({ name: 'two-networks', servers: { address: { cidr: '10.79.0.0/24' } } })
  t.teardown(() => world.close())
  const server = await world.boot('server', 'servers', { vm: { extraNics: [{ bridge: 'brs' }] } })
  const caller = await world.boot('caller', 'clients', { vm: { extraNics: [{ bridge: 'brs' }] } })
  const serving = server.vm.nics.find((nic) => nic.bridge === 'brs')?.address
  t.equal((await server.view()).address, serving)
  await waitFor(async () => (await call(caller.vm, `http://${echo.host}:${echo.http}/`)).status === 200, {
    what: 'an answer over the second network',
  })
})
