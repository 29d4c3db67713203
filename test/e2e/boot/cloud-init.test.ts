import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { call } from '../../world/call.ts'
import { failuresOf } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, echo } from '../../world/world.ts'
import {
  agentSaid,
  copyDisk,
  createBox,
  isReady,
  lastWords,
  makeAgentImage,
  run,
  viewOf,
} from './agent-image.ts'

const examples = resolve(import.meta.dirname, '../../../packaging/cloud-init')

t.test('an image with the agent, and its life under cloud-init', async (t) => {
  const { image: base } = await ensureMachineParts({ progress: silentProgress })
  const world = await createWorld({ name: 'cloud' })
  t.teardown(() => world.close())
  const { network } = world
  const image = await makeAgentImage(network, base)
  const caller = await world.boot('caller', 'clients')

  /** The example for a fleet, with this world's controller and a token of its own. */
  async function userData(): Promise<string> {
    const { token } = await world.operator.createToken('servers')
    const { url, pin } = world.controller
    return (await readFile(`${examples}/user-data.jinja.yaml`, 'utf8'))
      .replace(/^( +url: ).*$/m, `$1${url}`)
      .replace(/sha256:0+/, pin)
      .replace(/mrt_[\w-]+/, token)
  }
  const metaData = { mooring_pool: 'servers' }
  const box = await createBox(network, 'box', image, { userData: await userData(), metaData })
  let id = ''

  await t.test('first boot: user data brings it into the mesh', async (t) => {
    await box.powerOn()
    t.equal(await box.booted(), 'running', await lastWords(box))
    id = (await isReady(world, box)).id
    const answer = await waitFor(
      async () => {
        const { status } = await call(caller.vm, `http://${echo.host}:${echo.http}/`)
        return status === 200 && status
      },
      { what: 'a peer to get an answer', onTimeout: () => lastWords(box) },
    )
    t.equal(answer, 200)
    t.equal(await run(box, 'stat', '-c', '%U:%G %a', '/etc/mooring/cloud-init.token'), 'root:root 600')
    t.equal((await viewOf(world, box))?.pool, 'servers', 'its pool is of the instance data')
    const state = await run(box, 'cat', '/var/lib/mooring/state.json')
    t.match(JSON.parse(state).machine, { machineId: /^[0-9a-f]{64}$/, instanceId: 'box' })
  })

  await t.test('it starts as soon as its files are there, in an order without a circle', async (t) => {
    const at = async (unit: string, property: string) =>
      Number(await run(box, 'systemctl', 'show', '--value', `--property=${property}`, unit))
    const written = await at('cloud-init.service', 'ExecMainExitTimestampMonotonic')
    const started = await at('mooring-agent.service', 'ExecMainStartTimestampMonotonic')
    const final = await at('cloud-final.service', 'ExecMainStartTimestampMonotonic')
    t.ok(written > 0 && written <= started, `files ${written}, agent ${started}`)
    t.ok(started < final, `agent ${started}, last stage of cloud-init ${final}`)
    t.notMatch(await box.journal(['-o', 'cat']), /ordering cycle/i)
    t.comment(`the agent started ${(started - written) / 1000} ms after the files were written`)
  })

  await t.test('cloud-init accepts every example', async (t) => {
    for (const name of ['user-data.yaml', 'vendor-data.yaml']) {
      const { code, stdout, stderr } = await box.exec('cloud-init', ['schema', '-c', `${examples}/${name}`])
      t.equal(code, 0, stdout + stderr)
    }
    const rendered = await run(box, 'cloud-init', 'devel', 'render', `${examples}/user-data.jinja.yaml`)
    t.match(rendered, /^ +pool: servers$/m)
    t.match(rendered, 'https://controller.central.mesh.internal:8443')
    t.notMatch(rendered, 'CI_MISSING_JINJA_VAR')
    await box.exec('tee', ['/srv/rendered.yaml'], { input: rendered })
    const { code, stdout, stderr } = await box.exec('cloud-init', ['schema', '-c', '/srv/rendered.yaml'])
    t.equal(code, 0, stdout + stderr)
    await run(box, 'cloud-init', 'schema', '--system')
    await run(box, `${examples}/vendor-data.sh`)
    t.match(await run(box, 'cat', '/etc/mooring/agent.d/40-cloud-init-vendor.yaml'), /^controller:\n {2}url:/)
    await run(box, 'rm', '/etc/mooring/agent.d/40-cloud-init-vendor.yaml')
  })

  await t.test('after a reboot it is the same VM', async (t) => {
    t.equal(await box.reboot(), 'running', await lastWords(box))
    t.equal((await isReady(world, box)).id, id)
    t.equal((await world.operator.vms('servers')).length, 1)
  })

  await t.test('a second machine of the sealed image is a VM of its own', async (t) => {
    const other = await createBox(network, 'other', image, { userData: await userData(), metaData })
    await other.powerOn()
    t.equal(await other.booted(), 'running', await lastWords(other))
    t.not((await isReady(world, other)).id, id)
    t.notMatch(await agentSaid(other), /dropped/)
  })

  await t.test('poweroff under load costs no request', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 3 } })
    await load.firstOk
    await waitFor(() => (load.progress().instances.box?.answers ?? 0) > 50, { what: 'load on the box' })
    await box.powerOff()
    const before = load.progress().requests
    await waitFor(() => load.progress().requests > before + 100, { what: 'more load' })
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('cloud-poweroff', summary))
    t.equal(await viewOf(world, box), undefined, 'it left')
  })

  const joined = await copyDisk(box, network, image, 'joined')
  await box.powerOn()
  await box.booted()
  t.equal((await isReady(world, box)).id, id, 'it comes back by its key')

  await t.test('its disk in another instance: a VM of its own, with its own token', async (t) => {
    const moved = await createBox(network, 'moved', joined, { userData: await userData(), metaData })
    await moved.powerOn()
    await moved.booted()
    t.not((await isReady(world, moved)).id, id)
    t.match(
      await agentSaid(moved),
      /given to another machine: it is dropped.*instance-id is moved, and was box/,
    )
    t.equal((await viewOf(world, box))?.phase, 'ready', 'the first one goes on')
    await moved.powerOff()
    await moved.destroy()
  })

  await t.test('its disk in a second machine that seems the same: refused', async (t) => {
    const twin = await createBox(network, 'twin', joined, { instanceId: 'box' })
    // cloud-init sees no new instance, and would leave it the address of the first one.
    const card = join(joined.layers[0] ?? '', 'etc/systemd/network/10-cloud-init-eth0.network')
    const text = await readFile(card, 'utf8')
    const own = text.replace(box.address, twin.address).replace(box.address6, twin.address6)
    t.not(own, text)
    await writeFile(card, own)
    await twin.powerOn()
    await waitFor(async () => (await agentSaid(twin)).includes('CLONE_DETECTED'), {
      what: 'the refusal',
      limitMs: 150_000,
      onTimeout: () => lastWords(twin),
    })
    t.equal(await viewOf(world, twin), undefined)
    await twin.destroy()
    t.equal((await isReady(world, box)).id, id)
  })

  await t.test('power cut: peers are sent elsewhere', async (t) => {
    await box.cutPower()
    const cut = await waitFor(
      async () => {
        const vm = await world.operator.vm(id)
        return vm.phase === 'lost' && vm
      },
      { what: 'it to count as lost' },
    )
    t.equal(cut.phase, 'lost')
    await waitFor(
      async () => {
        const bodies = await Promise.all(
          Array.from({ length: 6 }, () => call(caller.vm, `http://${echo.host}:${echo.http}/`)),
        )
        return bodies.every(({ status }) => status === 200)
      },
      { what: 'the other one to answer alone' },
    )
  })
})
