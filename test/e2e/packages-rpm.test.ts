import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { makeRelease } from '../../packaging/release/release.ts'
import { toolsFolder } from '../../packaging/tools/cache.ts'
import { run } from '../../packaging/tools/command.ts'
import { provideNfpm } from '../../packaging/tools/nfpm.ts'
import { createRuntimes, hostArchOf } from '../../packaging/tools/runtimes.ts'
import { createContainer } from '../testbed/machines/container.ts'
import type { Container } from '../testbed/machines/machine.ts'
import { ensureMachineParts } from '../testbed/machines/parts.ts'
import { createNetwork } from '../testbed/network/network.ts'
import { silentProgress } from '../testbed/progress.ts'

/**
 * The agent's rpm, by rpm itself, on a booted machine with systemd. The machine is a Debian, to which rpm is lent: its
 * database knows of nothing that is installed, so dependencies are not looked at.
 */
const project = path.resolve(import.meta.dirname, '../..')
const cacheFolder = toolsFolder(process.env)
const nfpm = await provideNfpm({ cacheFolder, searchPath: process.env.PATH ?? '' })
const parts = await ensureMachineParts({ progress: silentProgress })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-packages-'))
const arch = hostArchOf(process.arch)
t.setTimeout(15 * 60_000)
t.teardown(() => rm(folder, { recursive: true, force: true }))

const rpmArch = { amd64: 'x86_64', arm64: 'aarch64' }[arch]
/** Where the packages are in the machine. */
const rpmOf = (version: string) => `/srv/packages/${version}/mooring-agent-${version}-1.${rpmArch}.rpm`

for (const version of ['0.9.0', '0.9.1']) {
  await makeRelease({
    ...{ project, version, epoch: 1_700_000_000, archs: [arch], formats: ['rpm'], nfpm },
    ...{ packages: ['mooring-agent'], hostArch: process.arch, draft: true, say: () => {} },
    runtimes: createRuntimes({ project, cacheFolder, hostArch: process.arch }),
    out: path.join(folder, version),
  })
}
await lendRpm(path.join(folder, 'rpm'))

/** This machine's rpm with all that it loads, to be run on a machine that has none. */
async function lendRpm(to: string): Promise<void> {
  const program = (await run('sh', ['-c', 'command -v rpm'])).trim()
  const libraries = [...(await run('ldd', [program])).matchAll(/=> (\/\S+)/g)].flatMap(
    ([, file]) => file ?? [],
  )
  await mkdir(path.join(to, 'lib'), { recursive: true })
  await cp(program, path.join(to, 'rpm'), { dereference: true })
  for (const file of libraries) {
    await cp(file, path.join(to, 'lib', path.basename(file)), { dereference: true })
  }
  await cp('/usr/lib/rpm', path.join(to, 'config'), { recursive: true })
}

/** What a command says; it must succeed. */
async function said(vm: Container, command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(command, args, { timeoutMs: 240_000 })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout.trim()
}

function rpm(vm: Container, ...args: readonly string[]): Promise<string> {
  const lent = ['LD_LIBRARY_PATH=/srv/packages/rpm/lib', 'RPM_CONFIGDIR=/srv/packages/rpm/config']
  return said(vm, 'env', ...lent, '/srv/packages/rpm/rpm', '--dbpath', '/var/lib/rpm', ...args)
}

t.test('installed, configured, upgraded, downgraded, erased', async (t) => {
  const network = await createNetwork({ name: 'rpm' })
  t.teardown(() => network.close())
  const vm = await createContainer({
    ...{ network, name: 'rpm', image: parts.image },
    shares: [{ from: folder, at: '/srv/packages' }],
  })
  t.teardown(() => vm.destroy())
  await vm.powerOn()
  await vm.booted()
  const state = async (unit: string, verb: 'is-enabled' | 'is-active') =>
    (await vm.exec('systemctl', [verb, unit])).stdout.trim()
  const show = (unit: string, property: string) =>
    said(vm, 'systemctl', 'show', unit, `--property=${property}`, '--value')

  await rpm(vm, '--install', '--nodeps', rpmOf('0.9.0'))
  t.equal(await state('mooring-agent', 'is-enabled'), 'enabled')
  t.equal(await state('mooring-agent', 'is-active'), 'active', 'with the example, it waits inside')
  t.equal(await state('mooring-drain', 'is-active'), 'active')
  t.match(await said(vm, 'getent', 'passwd', 'istio-proxy'), /:1337:1337:/)
  t.equal(await rpm(vm, '--verify', '--nodeps', 'mooring-agent'), '', 'every file is as it was packed')

  // A controller that never answers: the agent keeps trying.
  const config = `controller:\n  url: https://127.0.0.1:9\n  pin: sha256:${'0'.repeat(64)}\npool: web\njoin:\n  method: token\n  tokenFile: /etc/mooring/token\n`
  await vm.exec('tee', ['/etc/mooring/agent.yaml'], { input: config })
  const drainBefore = await show('mooring-drain', 'ActiveEnterTimestampMonotonic')
  for (const [version, ...how] of [['0.9.1'], ['0.9.0', '--oldpackage']] as const) {
    const pid = await show('mooring-agent', 'MainPID')
    await rpm(vm, '--upgrade', '--nodeps', ...how, rpmOf(version))
    t.equal(await rpm(vm, '--query', '--queryformat', '%{VERSION}', 'mooring-agent'), version)
    t.equal(await state('mooring-agent', 'is-active'), 'active', `${version} runs`)
    t.not(await show('mooring-agent', 'MainPID'), pid, 'as another process')
    t.equal(await state('mooring-agent', 'is-enabled'), 'enabled')
    t.equal(
      await show('mooring-drain', 'ActiveEnterTimestampMonotonic'),
      drainBefore,
      'the drain unit, whose stop takes the VM out of the mesh, was not touched',
    )
    t.equal(await said(vm, 'cat', '/etc/mooring/agent.yaml'), config.trim(), 'the configuration is kept')
  }

  await said(vm, 'systemctl', 'disable', '--now', 'mooring-agent')
  await rpm(vm, '--upgrade', '--nodeps', rpmOf('0.9.1'))
  t.equal(await state('mooring-agent', 'is-enabled'), 'disabled', 'who disabled it is not overruled')
  t.equal(await state('mooring-agent', 'is-active'), 'inactive')
  await said(vm, 'systemctl', 'enable', '--now', 'mooring-agent')

  await rpm(vm, '--erase', 'mooring-agent')
  for (const unit of ['mooring-agent', 'mooring-drain', 'mooring-sidecar']) {
    t.equal(await state(unit, 'is-active'), 'inactive', `erased: ${unit} does not run`)
  }
  t.equal((await vm.exec('test', ['-e', '/usr/bin/mooring-agent'])).code, 1)
  t.equal(await said(vm, 'cat', '/etc/mooring/agent.yaml.rpmsave'), config.trim(), 'its settings stay')
  t.equal(await said(vm, 'find', '/etc/systemd/system', '-name', 'mooring*'), '', 'no link leads nowhere')
})
