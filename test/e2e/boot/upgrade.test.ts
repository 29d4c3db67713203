import { copyFile } from 'node:fs/promises'
import { basename } from 'node:path'
import t from 'tap'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { failuresOf, type Load } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld } from '../../world/world.ts'
import { agentSaid, createBox, isReady, run, viewOf } from './agent-image.ts'
import { makeAgentPackage, renumbered } from './agent-package.ts'

/** An application as anybody would write it: enabled, and knows nothing of the mesh. */
const application = `[Unit]
Description=An application
[Service]
ExecStart=${process.execPath} ${import.meta.dirname}/../../testbed/apps/app-server.ts --name %H --bind 0.0.0.0
[Install]
WantedBy=multi-user.target
`

t.test('the package of a VM in the mesh comes and goes under load', async (t) => {
  const { image } = await ensureMachineParts({ progress: silentProgress })
  const world = await createWorld({ name: 'upgrade' })
  t.teardown(() => world.close())
  const deb = await makeAgentPackage(world.network.tempDir)
  const newer = await renumbered(deb, '9.0.0-1')
  await world.boot('a', 'servers')
  const caller = await world.boot('caller', 'clients')
  const box = await createBox(world.network, 'box', image)
  await box.powerOn()
  await box.booted()

  const put = async (path: string, input: string) => {
    await run(box, 'install', '-D', '-m', '600', '/dev/null', path)
    const { code, stderr } = await box.exec('tee', [path], { input })
    if (code !== 0) throw new Error(stderr)
  }
  /** As an administrator does it; packages are never asked to answer questions. */
  const apt = async (...args: readonly string[]) => {
    const options = { timeoutMs: 240_000, env: { DEBIAN_FRONTEND: 'noninteractive' } }
    const { code, stdout, stderr } = await box.exec('apt-get', ['--yes', ...args], options)
    if (code !== 0) throw new Error(`apt-get ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  }
  const show = (unit: string, property: string) =>
    run(box, 'systemctl', 'show', '--value', `--property=${property}`, unit)
  const pids = async () => ({
    agent: await show('mooring-agent', 'MainPID'),
    sidecar: await show('mooring-sidecar', 'MainPID'),
  })
  const version = () => run(box, 'dpkg-query', '--show', 'mooring-agent')
  const departures = async () => (await agentSaid(box)).match(/^left the mesh/gm) ?? []
  const inBox = async (file: string) => {
    await copyFile(file, await box.path(`/srv/${basename(file)}`))
    return `/srv/${basename(file)}`
  }

  await put('/etc/systemd/system/app.service', application)
  await run(box, 'systemctl', 'enable', '--now', 'app')
  await put('/etc/mooring/token', (await world.operator.createToken('servers')).token)
  const { url, pin } = world.controller
  // Before the package: what is there is never taken for the example.
  await put('/etc/mooring/agent.yaml', JSON.stringify({ controller: { url, pin }, pool: 'servers' }))
  const [first, second] = [await inBox(deb), await inBox(newer)]
  await apt('-o', 'Dpkg::Options::=--force-confold', 'install', first)
  const { id } = await isReady(world, box)

  const load = world.load(caller, { seconds: 1_200, options: { 'download-seconds': 5 } })
  await load.firstOk
  await served(load, box.name)

  for (const { what, file, options } of [
    { what: 'upgrade', file: second, options: [] },
    { what: 'downgrade', file: first, options: ['--allow-downgrades'] },
  ])
    await t.test(`${what}: another agent, the same sidecar`, async (t) => {
      const [before, was] = [await pids(), await version()]
      await apt(...options, 'install', file)
      t.not(await version(), was)
      const after = await pids()
      t.not(after.agent, before.agent, 'another agent')
      t.not(before.sidecar, '0')
      t.equal(after.sidecar, before.sidecar, 'the same sidecar')
      t.equal((await isReady(world, box)).id, id)
      await served(load, box.name)
      t.equal((await pids()).sidecar, before.sidecar)
      t.equal(load.progress().failed, 0)
    })

  await t.test('reboot: it leaves, and comes back as the same VM', async (t) => {
    await box.reboot()
    t.equal((await isReady(world, box)).id, id)
    await served(load, box.name)
    t.equal(load.progress().failed, 0)
  })

  await t.test('remove: it leaves the mesh before anything is taken away', async (t) => {
    const before = (await departures()).length
    await apt('remove', 'mooring-agent')
    t.equal((await departures()).length, before + 1, 'it said so itself')
    t.equal(await viewOf(world, box), undefined)
    t.equal((await world.operator.vm(id)).phase, 'left')
    t.notMatch(await run(box, 'iptables-save'), /ISTIO_/)
    t.equal(await show('mooring-sidecar', 'ActiveState'), 'inactive')
    t.equal((await box.exec('test', ['-e', '/usr/bin/mooring-agent'])).code, 1)
    t.equal(await show('app', 'ActiveState'), 'active', 'the application goes on')
    await served(load, 'a')
    t.equal(load.progress().failed, 0)
  })

  await t.test('installed again it is the same VM, and none of it cost a request', async (t) => {
    await apt('install', second)
    t.equal((await isReady(world, box)).id, id)
    await served(load, box.name)
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('package-upgrade', summary))
  })
})

/** Waits until a VM answered enough requests from now on to show that it serves. */
async function served(load: Load, name: string): Promise<void> {
  const answers = () => load.progress().instances[name]?.answers ?? 0
  const before = answers()
  await waitFor(() => answers() > before + 100, { what: `answers of ${name}`, limitMs: 150_000 })
}
