import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { runCommand } from '../../testbed/command.ts'
import { type ContainerDeps, createContainer } from '../../testbed/machines/container.ts'
import { createEmulated } from '../../testbed/machines/emulated.ts'
import type { Container, Machine } from '../../testbed/machines/machine.ts'
import { ensureDisk, ensureMachineParts } from '../../testbed/machines/parts.ts'
import { createNetwork, type Network } from '../../testbed/network/network.ts'
import { identifyProcess } from '../../testbed/network/process-identity.ts'
import { ensurePrograms } from '../../testbed/parts/system-programs.ts'
import { silentProgress } from '../../testbed/progress.ts'

const recipes = fileURLToPath(new URL('../../../packaging/image-builder/', import.meta.url))
const testbed = fileURLToPath(new URL('../../testbed/', import.meta.url))
const parts = await ensureMachineParts({ progress: silentProgress })
const disk = await ensureDisk({ progress: silentProgress })

// Under an emulated processor, on a machine that has other things to do.
t.setTimeout(25 * 60_000)

const userData = `#cloud-config
write_files:
  - path: /srv/from-the-seed
    content: hello
runcmd:
  - [sh, -c, 'echo first boot >> /srv/boots']
`

t.test('a container boots its own systemd, takes its seed, and is itself after a reboot', async (t) => {
  const network = await open(t, 'container')
  const client = await network.addVm('client')
  const vm = await container(network, { seed: { userData }, secondNetwork: true })
  await vm.powerOn()
  t.equal(await vm.booted(), 'running', await failedUnits(vm))
  await isSetUp(t, vm)
  t.equal(await reached(client, vm), true, 'another VM of the network reaches it')
  t.match((await vm.exec('ip', ['-brief', 'address', 'show', 'eth1'])).stdout, '10.79.0.210/24')

  t.equal((await vm.exec('iptables', ['-t', 'nat', '-A', 'OUTPUT', '-j', 'RETURN'])).code, 0)
  const before = await identity(vm)
  t.equal(await vm.reboot(), 'running', await failedUnits(vm))
  t.equal(vm.boots, 2)
  t.same(await identity(vm), before, 'disk, addresses and names are the same')
  t.notMatch((await vm.exec('iptables', ['-t', 'nat', '-S'])).stdout, 'RETURN', 'traffic rules are not')
  t.equal(await said(vm, 'cat', '/srv/boots'), 'first boot', 'cloud-init knows that it was here')

  await vm.powerOff()
  t.equal(vm.on, false)
  t.match(await vm.journal(['--unit', 'systemd-poweroff.service', '--output', 'cat']), 'System Power Off')
  await t.rejects(vm.exec('true'), { code: 'MACHINE_OFF' })
  await network.close()
  t.same(await leftOf(network), [])
})

t.test('a power cut is silent, and nothing but the disk outlives it', async (t) => {
  const network = await open(t, 'cut')
  const client = await network.addVm('client')
  const vm = await container(network)
  await vm.powerOn()
  await vm.booted()
  await vm.exec('sh', ['-c', 'echo kept > /srv/kept'])
  await vm.linkDown()
  t.equal(await reached(client, vm), false)
  t.equal(await said(vm, 'hostname'), 'vm', 'it goes on behind a cable that is out')
  await vm.linkUp()
  t.equal(await eventually(async () => (await reached(client, vm)) || undefined), true)

  const pid = await vm.leader()
  await vm.cutPower()
  t.equal(await identifyProcess(pid ?? 0), undefined)
  t.notMatch(await vm.journal(['--output', 'cat']), 'System Power Off', 'no word of it')
  await vm.powerOn()
  await vm.booted()
  t.equal(await said(vm, 'cat', '/srv/kept'), 'kept')

  // A second one beside it, from the same image, is another machine.
  const other = await container(network, { name: 'other' })
  t.not(other.address, vm.address)
  await other.powerOn()
  await other.booted()
  t.not(await said(other, 'cat', '/etc/machine-id'), await said(vm, 'cat', '/etc/machine-id'))
  await vm.destroy()
  t.equal(await reached(client, other), true)
})

t.test(
  'an emulated machine boots its own kernel, takes its seed, and is shut down by its button',
  async (t) => {
    const network = await open(t, 'emulated')
    const client = await network.addVm('client')
    const vm = await createEmulated({ network, name: 'vm', disk, seed: { userData } })
    await vm.powerOn()
    t.equal(await vm.booted(), 'running', await failedUnits(vm))
    await isSetUp(t, vm)
    t.equal(await reached(client, vm), true, 'another VM of the network reaches it')
    t.not(await said(vm, 'uname', '-r'), (await runCommand('uname', ['-r'])).stdout.trim())
    const odd = await vm.exec('sh', ['-c', 'cat; exit 3'], { input: `it's\n"odd"` })
    t.same([odd.code, odd.stdout], [3, `it's\n"odd"`])

    const phases = vm.timeline.map((stamp) => stamp.phase)
    for (const phase of ['kernel', 'initramfs', 'systemd', 'cloud-init local', 'network', 'login'])
      t.ok(phases.includes(phase), `the timeline knows ${phase}`)
    t.comment(vm.timeline.map(({ phase, ms }) => `${phase} ${(ms / 1000).toFixed(1)} s`).join(', '))
    await vm.exec('sh', ['-c', 'echo kept > /srv/kept; sync'])

    await vm.powerOff()
    t.equal(vm.on, false)
    t.match(vm.consoleLog, /reboot: Power down/, 'in order')

    await vm.powerOn()
    await eventually(async () => vm.timeline.some((stamp) => stamp.phase === 'systemd') || undefined)
    await vm.cutPower()
    t.equal(vm.on, false, 'in the middle of its boot')
    t.equal(vm.boots, 2)
  },
)

t.test('nothing is left of machines whose owner is killed', async (t) => {
  const program = `
    const { createNetwork } = await import(${JSON.stringify(`${testbed}network/network.ts`)})
    const { createContainer } = await import(${JSON.stringify(`${testbed}machines/container.ts`)})
    const { createEmulated } = await import(${JSON.stringify(`${testbed}machines/emulated.ts`)})
    const network = await createNetwork({ name: 'doomed' })
    const image = ${JSON.stringify(parts.image)}
    const one = await createContainer({ network, name: 'one', image })
    const two = await createEmulated({ network, name: 'two', disk: ${JSON.stringify(disk)} })
    await Promise.all([one.powerOn(), two.powerOn()])
    await one.booted()
    console.log(JSON.stringify({ id: network.id, tempDir: network.tempDir, leader: await one.leader() }))
    setInterval(() => {}, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  t.teardown(() => owner.kill('SIGKILL'))
  const made = JSON.parse(await firstLine(owner)) as { id: string; tempDir: string; leader: number }
  const left = await leftOf(made)
  for (const kind of ['namespace', 'folder', 'group', 'process'])
    t.ok(
      left.some((each) => each.startsWith(kind)),
      `there was a ${kind} to leave`,
    )
  owner.kill('SIGKILL')
  await eventually(async () => (await leftOf(made)).length === 0 || undefined)
  t.same(await leftOf(made), [])
})

t.test('the scripts that make images hold what their checker asks', async (t) => {
  await ensurePrograms({ shellcheck: 'shellcheck' }, { progress: silentProgress })
  const names = await readdir(recipes, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`)
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')))
  const scripts = files.filter((_, i) => texts[i]?.startsWith('#!'))
  t.ok(scripts.length >= 7)
  for (const [i, file] of files.entries())
    if (scripts.includes(file)) t.match(texts[i], '\nset -euo pipefail\n', file)
  const checked = await runCommand('shellcheck', [
    '--external-sources',
    '--source-path=SCRIPTDIR',
    ...scripts,
  ])
  t.equal(checked.code, 0, checked.stdout)
})

async function open(t: Test, name: string): Promise<Network> {
  const network = await createNetwork({ name })
  t.teardown(() => network.close())
  return network
}

async function container(network: Network, more: Partial<ContainerDeps> = {}): Promise<Container> {
  return createContainer({ network, name: 'vm', image: parts.image, ...more })
}

async function isSetUp(t: Test, vm: Machine): Promise<void> {
  t.equal(await said(vm, 'cat', '/srv/from-the-seed'), 'hello', 'cloud-init wrote what the seed says')
  t.equal(await said(vm, 'hostname'), vm.name)
  t.match((await vm.exec('ip', ['-brief', 'address', 'show', 'eth0'])).stdout, `${vm.address}/24`)
  t.match((await vm.exec('ip', ['route', 'show', 'default'])).stdout, 'via 10.77.0.1 dev eth0')
}

async function identity(vm: Machine) {
  const files = ['/etc/machine-id', '/etc/ssh/ssh_host_ed25519_key.pub', '/srv/from-the-seed']
  return [
    await said(vm, 'hostname'),
    await said(vm, 'ip', '-brief', 'address'),
    await said(vm, 'cat', ...files),
  ].map(
    // Its other end has another number at each boot.
    (text) => text.replaceAll(/@if\d+/g, ''),
  )
}

async function said(vm: Machine, command: string, ...args: readonly string[]): Promise<string> {
  return (await vm.exec(command, args)).stdout.trim()
}

async function failedUnits(vm: Machine): Promise<string> {
  const units = await vm.exec('systemctl', ['list-units', '--failed', '--plain', '--no-legend'])
  return `failed: ${units.stdout.trim() || 'none'}`
}

async function reached(from: Pick<Machine, 'exec'>, vm: Machine): Promise<boolean> {
  const program = `
    const socket = (await import('node:net')).connect({ host: '${vm.address}', port: 22, timeout: 5000 })
    socket.once('data', () => process.exit(0)).once('error', () => process.exit(1)).once('timeout', () => process.exit(1))`
  return (await from.exec(process.execPath, ['--input-type=module', '-e', program])).code === 0
}

interface Made {
  readonly id: string
  readonly tempDir: string
}

/** Everything on this machine that belongs to a network and its machines. */
async function leftOf({ id, tempDir }: Made): Promise<readonly string[]> {
  const namespaces = await readdir('/run/netns').catch(() => [])
  const groups = await runCommand('unshare', [
    ...['--mount', '--', 'sh', '-c', 'mount -t cgroup2 cgroup2 /mnt && ls /mnt'],
  ])
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  const links = await readdir('/sys/class/net')
  return [
    ...namespaces.filter((name) => name.includes(id)).map((name) => `namespace ${name}`),
    ...groups.stdout
      .split('\n')
      .filter((name) => name.includes(id))
      .map((name) => `group ${name}`),
    ...mounts
      .split('\n')
      .filter((line) => line.includes(tempDir))
      .map((line) => `mount ${line}`),
    ...lines.filter((line) => line.includes(id)).map((line) => `process ${line.replaceAll('\0', ' ')}`),
    ...links.filter((name) => /^eth\dm\d/.test(name)).map((name) => `link ${name}`),
    ...(existsSync(tempDir) ? [`folder ${tempDir}`] : []),
  ]
}

function firstLine(child: ChildProcess): Promise<string> {
  const { stdout } = child
  if (stdout === null) throw new Error('its output is not piped')
  return new Promise((resolve, reject) => {
    createInterface({ input: stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`it ended with ${code} before it said anything`)))
  })
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = performance.now() + 5 * 60_000
  while (performance.now() < end) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(50)
  }
  return undefined
}
