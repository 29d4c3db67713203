import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { makeRelease } from '../../packaging/release/release.ts'
import { toolsFolder } from '../../packaging/tools/cache.ts'
import { provideNfpm } from '../../packaging/tools/nfpm.ts'
import { createRuntimes, hostArchOf } from '../../packaging/tools/runtimes.ts'
import { createContainer } from '../testbed/machines/container.ts'
import type { Container } from '../testbed/machines/machine.ts'
import { ensureMachineParts } from '../testbed/machines/parts.ts'
import { createNetwork } from '../testbed/network/network.ts'
import { silentProgress } from '../testbed/progress.ts'

const project = path.resolve(import.meta.dirname, '../..')
const cacheFolder = toolsFolder(process.env)
const nfpm = await provideNfpm({ cacheFolder, searchPath: process.env.PATH ?? '' })
const runtimes = createRuntimes({ project, cacheFolder, hostArch: process.arch })
const parts = await ensureMachineParts({ progress: silentProgress })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-packages-'))
const arch = hostArchOf(process.arch)
const versions = ['0.9.0', '0.9.1'] as const
t.setTimeout(15 * 60_000)
t.teardown(() => rm(folder, { recursive: true, force: true }))

await makeDebs()
/** Where the packages are in the machine. */
const deb = (version: string) => `/srv/packages/${version}/mooring-agent_${version}-1_${arch}.deb`

/** The agent's deb twice, as two releases. */
async function makeDebs(): Promise<void> {
  for (const version of versions) {
    await makeRelease({
      ...{ project, version, epoch: 1_700_000_000, archs: [arch], formats: ['deb'], nfpm, runtimes },
      ...{ packages: ['mooring-agent'], hostArch: process.arch, draft: true, say: () => {} },
      out: path.join(folder, version),
    })
  }
}

async function machine(t: Test, name: string): Promise<Container> {
  const network = await createNetwork({ name })
  t.teardown(() => network.close())
  const vm = await createContainer({
    network,
    name,
    image: parts.image,
    shares: [{ from: folder, at: '/srv/packages' }],
  })
  t.teardown(() => vm.destroy())
  return vm
}

/** What a command says; it must succeed. */
async function said(vm: Container, command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(command, args, {
    timeoutMs: 240_000,
    env: { DEBIAN_FRONTEND: 'noninteractive', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout.trim()
}

async function show(vm: Container, unit: string, property: string): Promise<string> {
  return said(vm, 'systemctl', 'show', unit, `--property=${property}`, '--value')
}

const stateOf = async (vm: Container, unit: string, verb: 'is-enabled' | 'is-active') =>
  (await vm.exec('systemctl', [verb, unit])).stdout.trim()

t.test('installed, configured, upgraded, downgraded, removed, purged', async (t) => {
  const vm = await machine(t, 'pkg')
  await vm.powerOn()
  await vm.booted()

  await said(vm, 'dpkg', '--install', deb('0.9.0'))
  t.equal(await stateOf(vm, 'mooring-agent', 'is-enabled'), 'enabled')
  t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'active', 'with the example, it waits inside')
  t.equal(await stateOf(vm, 'mooring-drain', 'is-active'), 'active')
  const journal = await vm.journal(['--unit', 'mooring-agent', '--output', 'cat'])
  t.match(journal, /[Nn]o controller is configured/, 'and says what is missing')
  t.match(await said(vm, 'getent', 'passwd', 'istio-proxy'), /:1337:1337:/)
  t.match(await said(vm, 'mooring-agent', 'version'), '0.1.0')

  // A controller that never answers: the agent keeps trying.
  const config = `controller:\n  url: https://127.0.0.1:9\n  pin: sha256:${'0'.repeat(64)}\npool: web\njoin:\n  method: token\n  tokenFile: /etc/mooring/token\n`
  await vm.exec('tee', ['/etc/mooring/agent.yaml'], { input: config })
  await vm.exec('tee', ['/etc/mooring/token'], { input: 'x\n' })
  t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'active')
  const [agentBefore, drainBefore] = [
    await show(vm, 'mooring-agent', 'MainPID'),
    await show(vm, 'mooring-drain', 'ActiveEnterTimestampMonotonic'),
  ]

  for (const version of ['0.9.1', '0.9.0']) {
    const pid = await show(vm, 'mooring-agent', 'MainPID')
    await said(vm, 'dpkg', '--install', deb(version))
    t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'active', `${version} runs`)
    t.not(await show(vm, 'mooring-agent', 'MainPID'), pid, 'as another process')
    t.equal(
      await show(vm, 'mooring-drain', 'ActiveEnterTimestampMonotonic'),
      drainBefore,
      'the drain unit, whose stop takes the VM out of the mesh, was not touched',
    )
    t.equal(await said(vm, 'cat', '/etc/mooring/agent.yaml'), config.trim(), 'the configuration is kept')
  }
  t.not(agentBefore, '0')

  await said(vm, 'systemctl', 'disable', '--now', 'mooring-agent')
  await said(vm, 'dpkg', '--install', deb('0.9.1'))
  t.equal(await stateOf(vm, 'mooring-agent', 'is-enabled'), 'disabled', 'who disabled it is not overruled')
  t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'inactive')
  await said(vm, 'systemctl', 'enable', '--now', 'mooring-agent')

  await said(vm, 'dpkg', '--remove', 'mooring-agent')
  t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'inactive', 'removed: nothing runs')
  t.equal((await vm.exec('test', ['-e', '/etc/mooring/agent.yaml'])).code, 0, 'its settings stay')
  t.equal((await vm.exec('test', ['-e', '/usr/bin/mooring-agent'])).code, 1)

  await said(vm, 'dpkg', '--install', deb('0.9.0'))
  t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'active', 'installed again, it runs again')
  await said(vm, 'dpkg', '--purge', 'mooring-agent')
  for (const gone of ['/var/lib/mooring', '/var/log/mooring', '/etc/mooring/agent.yaml']) {
    t.equal((await vm.exec('test', ['-e', gone])).code, 1, `${gone} is gone`)
  }
  t.equal(await said(vm, 'cat', '/etc/mooring/token'), 'x', 'what others put there is theirs')
})

t.test(
  'in an image that is being built it is enabled, and starts nothing; sealed, it holds no identity',
  async (t) => {
    const vm = await machine(t, 'image')
    await vm.powerOn()
    await vm.booted()
    // Its own root without its systemd: what an image builder's chroot is.
    await said(
      vm,
      'sh',
      '-c',
      'mkdir /mnt/image && mount --bind / /mnt/image && mount --bind /srv/packages /mnt/image/srv/packages',
    )
    await said(vm, 'chroot', '/mnt/image', 'dpkg', '--install', deb('0.9.0'))
    t.equal(await stateOf(vm, 'mooring-agent', 'is-enabled'), 'enabled')
    t.equal(await stateOf(vm, 'mooring-agent', 'is-active'), 'inactive')

    await said(
      vm,
      'mkdir',
      '-p',
      '/var/lib/mooring/sidecar/versions/1.29.1-abc',
      '/var/lib/mooring/sidecar/run',
    )
    await said(vm, 'touch', '/var/lib/mooring/state.json', '/var/lib/mooring/sidecar/capture.json')
    await said(vm, 'cloud-init', 'clean')
    t.equal(await said(vm, 'find', '/var/lib/mooring', '-type', 'f'), '', 'no key, no certificate, no rules')
    t.equal(await said(vm, 'ls', '/var/lib/mooring/sidecar'), 'versions', 'a sidecar that was baked in stays')
  },
)
