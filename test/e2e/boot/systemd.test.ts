import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t from 'tap'
import { createContainer } from '../../testbed/machines/container.ts'
import type { Container } from '../../testbed/machines/machine.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'
import { agentExecutable } from '../../world/agent-executable.ts'
import { failuresOf, type Load } from '../../world/load.ts'
import { sceneLine } from '../../world/scene.ts'
import { waitFor } from '../../world/waiting.ts'
import { createWorld, type World } from '../../world/world.ts'

const project = resolve(import.meta.dirname, '../../..')
const libatomic = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`
const units = join(project, 'packaging/systemd')

/** An application as anybody would write it: it knows nothing of the mesh, and is enabled where units usually are. */
const application = `[Unit]
Description=An application
[Service]
ExecStart=${process.execPath} ${project}/test/testbed/apps/app-server.ts --name box --bind 0.0.0.0
[Install]
WantedBy=multi-user.target
`

/** Lays the agent into a machine as its package does, and starts it. */
async function install(box: Container, world: World): Promise<void> {
  const put = async (path: string, input: string) => {
    await run(box, 'install', ['-D', '-m', '644', '/dev/null', path])
    await run(box, 'tee', [path], input)
  }
  for (const unit of ['mooring-agent', 'mooring-sidecar', 'mooring-drain'])
    await put(
      `/usr/lib/systemd/system/${unit}.service`,
      await readFile(join(units, `${unit}.service`), 'utf8'),
    )
  await put('/usr/lib/tmpfiles.d/mooring.conf', await readFile(join(units, 'tmpfiles.conf'), 'utf8'))
  await put('/etc/systemd/system/app.service', application)
  await put('/etc/mooring/token', (await world.operator.createToken('servers')).token)
  const { url, pin } = world.controller
  await put('/etc/mooring/agent.yaml', JSON.stringify({ controller: { url, pin }, pool: 'servers' }))
  await run(box, 'groupadd', ['--gid', '1337', 'istio-proxy'])
  await run(box, 'useradd', ['--uid', '1337', '--gid', '1337', '--no-create-home', 'istio-proxy'])
  await run(box, 'systemd-tmpfiles', ['--create', 'mooring.conf'])
  await run(box, 'systemctl', ['daemon-reload'])
  await run(box, 'systemctl', ['enable', '--now', 'app', 'mooring-agent', 'mooring-drain'])
}

async function run(box: Container, command: string, args: readonly string[], input?: string) {
  const result = await box.exec(command, args, input === undefined ? {} : { input })
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.stdout}`)
  return result.stdout.trim()
}

const property = (box: Container, unit: string, name: string) =>
  run(box, 'systemctl', ['show', '--value', `--property=${name}`, unit])

const sidecarPid = (box: Container) => property(box, 'mooring-sidecar', 'MainPID')

/** Enough requests after a moment to see what it did to them. */
async function moreLoad(load: Load): Promise<void> {
  const before = load.progress().requests
  await waitFor(() => load.progress().requests > before + 200, { what: 'more load' })
}

t.test('a VM under systemd: its agent may go and come, its traffic goes on', async (t) => {
  const { image } = await ensureMachineParts({ progress: silentProgress })
  const world = await createWorld({ name: 'systemd' })
  t.teardown(() => world.close())
  await world.boot('a', 'servers')
  const caller = await world.boot('caller', 'clients')
  const shares = [
    { from: project, at: project },
    { from: agentExecutable, at: '/usr/bin/mooring-agent' },
    // Of the application's runtime; the machine has no other use for it.
    ...(existsSync(libatomic) ? [{ from: realpathSync(libatomic), at: libatomic }] : []),
  ]
  const box = await createContainer({ network: world.network, name: 'box', image, shares })
  await box.powerOn()
  await box.booted()
  await install(box, world)

  const said = () => box.exec('journalctl', ['--no-pager', '--lines=40', '-u', 'mooring-agent', '-u', 'app'])
  const view = async () => {
    const [found] = (await world.operator.vms()).filter(
      (vm) => vm.address === box.address && vm.phase !== 'left',
    )
    return found
  }
  const isReady = () =>
    waitFor(async () => (await view())?.phase === 'ready', {
      what: 'the VM to be ready',
      limitMs: 150_000,
      onTimeout: async () => (await said()).stdout,
    })
  await isReady()

  await t.test('systemd knows that the agent is ready, and people what it does', async (t) => {
    await waitFor(async () => (await property(box, 'mooring-agent', 'StatusText')) === 'serving', {
      what: 'the status to say so',
    })
    t.equal(await property(box, 'mooring-agent', 'ActiveState'), 'active')
    t.equal(await property(box, 'mooring-agent', 'NRestarts'), '0')
    t.match(await run(box, 'ps', ['-o', 'uid=,gid=', '-p', await sidecarPid(box)]), /^\s*1337\s+1337$/)
    t.match(await property(box, 'mooring-sidecar', 'ControlGroup'), /mooring-sidecar\.service$/)
  })

  await t.test('the log is in the journal, with fields, and holds no secret', async (t) => {
    const id = (await view())?.id
    t.ok(
      await run(box, 'journalctl', ['--no-pager', '-o', 'cat', `MOORING_VM=${id}`, 'MOORING_STEP=capture']),
    )
    const all = await run(box, 'journalctl', [
      '--no-pager',
      '-o',
      'export',
      '-u',
      'mooring-agent',
      '-u',
      'mooring-sidecar',
    ])
    t.notMatch(all, /mrt_|PRIVATE KEY|eyJ[\w-]{20}/)
  })

  const load = world.load(caller)
  await load.firstOk
  await waitFor(() => (load.progress().instances.box?.answers ?? 0) > 50, { what: 'load on the VM' })
  const before = await sidecarPid(box)

  await t.test('a restart of its unit touches nothing', async (t) => {
    const agent = await property(box, 'mooring-agent', 'MainPID')
    await run(box, 'systemctl', ['restart', 'mooring-agent'])
    t.not(await property(box, 'mooring-agent', 'MainPID'), agent)
    await isReady()
    await moreLoad(load)
    t.equal(await sidecarPid(box), before)
    t.match((await said()).stdout, /agent steps aside for the next one/)
  })

  await t.test('nor does its sudden end', async (t) => {
    const agent = await property(box, 'mooring-agent', 'MainPID')
    await run(box, 'systemctl', ['kill', '--kill-whom=main', '--signal=SIGKILL', 'mooring-agent'])
    await waitFor(async () => !['0', agent].includes(await property(box, 'mooring-agent', 'MainPID')), {
      what: 'systemd to start it again',
    })
    await isReady()
    await moreLoad(load)
    t.equal(await sidecarPid(box), before)
  })

  await t.test('one that stands still is started anew', async (t) => {
    const dropIn = '/run/systemd/system/mooring-agent.service.d/short.conf'
    await run(box, 'install', ['-D', '/dev/null', dropIn])
    await run(box, 'tee', [dropIn], '[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\n')
    await run(box, 'systemctl', ['daemon-reload'])
    await run(box, 'systemctl', ['restart', 'mooring-agent'])
    await isReady()
    const agent = await property(box, 'mooring-agent', 'MainPID')
    await run(box, 'kill', ['-STOP', agent])
    await waitFor(async () => !['0', agent].includes(await property(box, 'mooring-agent', 'MainPID')), {
      what: 'the watchdog to notice',
      limitMs: 60_000,
    })
    await isReady()
    await moreLoad(load)
    t.equal(await sidecarPid(box), before)
  })

  await t.test('none of it cost a request', async (t) => {
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('agent-restarts', summary))
  })

  await t.test('a sidecar that dies is back by itself, also without an agent', async (t) => {
    await run(box, 'systemctl', ['kill', '--kill-whom=main', '--signal=SIGSTOP', 'mooring-agent'])
    await run(box, 'systemctl', ['kill', '--kill-whom=main', '--signal=SIGKILL', 'mooring-sidecar'])
    await waitFor(async () => !['0', before].includes(await sidecarPid(box)), { what: 'another sidecar' })
    await run(box, 'systemctl', ['kill', '--kill-whom=main', '--signal=SIGCONT', 'mooring-agent'])
    await isReady()
    t.not(await sidecarPid(box), before)
  })

  await t.test('a stop of its unit takes the VM out of the mesh, a start brings it back', async (t) => {
    const id = (await view())?.id
    await run(box, 'systemctl', ['stop', 'mooring-agent'])
    t.equal(await view(), undefined)
    t.equal(await property(box, 'mooring-sidecar', 'ActiveState'), 'inactive')
    t.notMatch(await run(box, 'iptables-save', []), /ISTIO_/)
    await run(box, 'systemctl', ['start', 'mooring-agent'])
    await isReady()
    t.equal((await view())?.id, id)
  })

  await t.test('at a shutdown the application serves until the VM is out of the mesh', async (t) => {
    const load = world.load(caller, { options: { 'download-seconds': 3 } })
    await load.firstOk
    await waitFor(() => (load.progress().instances.box?.answers ?? 0) > 50, { what: 'load on the VM' })
    await box.powerOff()
    await moreLoad(load)
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('shutdown', summary))
    t.equal(await view(), undefined, 'it left')
    const lines = (await box.journal(['-o', 'cat', '--no-pager'])).split('\n')
    const left = lines.findLastIndex((line) => line.startsWith('left the mesh reason=shutdown'))
    const stopped = lines.findLastIndex((line) => /^Stopping app\.service/.test(line))
    t.ok(left > 0 && stopped > left, `left at line ${left}, application stopped at line ${stopped}`)
    t.notOk(
      lines.some((line) => line.startsWith('step cannot be taken back')),
      'nothing waited for its own end',
    )
  })

  await t.test('nor is a request lost at a shutdown before which the agent has died', async (t) => {
    await box.powerOn()
    await box.booted()
    await isReady()
    const id = (await view())?.id
    const load = world.load(caller)
    await load.firstOk
    await waitFor(() => (load.progress().instances.box?.answers ?? 0) > 50, { what: 'load on the VM' })
    const dropIn = '/run/systemd/system/mooring-agent.service.d/dead.conf'
    await run(box, 'install', ['-D', '/dev/null', dropIn])
    await run(box, 'tee', [dropIn], '[Service]\nRestart=no\n')
    await run(box, 'systemctl', ['daemon-reload'])
    await run(box, 'systemctl', ['kill', '--kill-whom=main', '--signal=SIGKILL', 'mooring-agent'])
    await waitFor(async () => (await property(box, 'mooring-agent', 'ActiveState')) === 'failed', {
      what: 'the agent to be dead',
    })
    await box.powerOff()
    await moreLoad(load)
    const summary = await load.stop()
    t.equal(summary.failed, 0, failuresOf(summary))
    t.comment(sceneLine('shutdown-without-agent', summary))
    t.equal((await world.operator.vm(id ?? '')).phase, 'left')
    const journal = await box.journal(['-o', 'cat', '--no-pager', '-u', 'mooring-drain', '--boot', '-0'])
    t.match(journal, /no agent runs: this command takes the VM out of the mesh/)
    t.match(journal, /left the mesh/)
    t.notMatch(journal, /cannot be taken back|cut short/)
  })
})
