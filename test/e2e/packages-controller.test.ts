import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { unpackArchive } from '../../agent/sidecar/artifact-archive.ts'
import { makeRelease } from '../../packaging/release/release.ts'
import { toolsFolder } from '../../packaging/tools/cache.ts'
import { run } from '../../packaging/tools/command.ts'
import { provideNfpm } from '../../packaging/tools/nfpm.ts'
import { createRuntimes, hostArchOf } from '../../packaging/tools/runtimes.ts'
import { createContainer } from '../testbed/machines/container.ts'
import type { Container } from '../testbed/machines/machine.ts'
import { ensureMachineParts } from '../testbed/machines/parts.ts'
import { createNetwork } from '../testbed/network/network.ts'
import { ensureParts } from '../testbed/parts/parts.ts'
import { silentProgress } from '../testbed/progress.ts'

const project = path.resolve(import.meta.dirname, '../..')
const cacheFolder = toolsFolder(process.env)
const nfpm = await provideNfpm({ cacheFolder, searchPath: process.env.PATH ?? '' })
const machineParts = await ensureMachineParts({ progress: silentProgress })
const parts = await ensureParts({ progress: silentProgress })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-packages-'))
const arch = hostArchOf(process.arch)
t.setTimeout(15 * 60_000)
t.teardown(() => rm(folder, { recursive: true, force: true }))

async function said(vm: Container, command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await vm.exec(command, args, { timeoutMs: 240_000 })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout.trim()
}

/** The installed programs, waited for: `url` of a controller that says it is ready. */
async function ready(vm: Container): Promise<boolean> {
  const script = `const https = require('https'); https.get('https://127.0.0.1:8443/readyz', { rejectUnauthorized: false }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(2))`
  for (let i = 0; i < 240; i++) {
    if ((await vm.exec('/usr/lib/mooring/node', ['-e', script])).code === 0) return true
    await sleep(500)
  }
  return false
}

t.test('the controller as a service: installed, ready, backed up, purged, restored', async (t) => {
  await makeRelease({
    ...{ project, version: '0.9.0', epoch: 1_700_000_000, archs: [arch], formats: ['deb'], nfpm },
    ...{ packages: ['mooring', 'mooring-controller'], hostArch: process.arch, draft: true, say: () => {} },
    runtimes: createRuntimes({ project, cacheFolder, hostArch: process.arch }),
    out: path.join(folder, 'release'),
  })
  // What Node needs of Debian and the machine, which has no mirror, lacks.
  await run('apt-get', ['download', 'libatomic1'], { cwd: path.join(folder, 'release') })
  const network = await createNetwork({ name: 'ctl' })
  t.teardown(() => network.close())
  const vm = await createContainer({
    ...{ network, name: 'ctl', image: machineParts.image },
    shares: [
      { from: path.join(folder, 'release'), to: '/srv/packages' },
      { from: parts.istiod, to: '/srv/istiod' },
    ].map(({ from, to }) => ({ from, at: to })),
  })
  t.teardown(() => vm.destroy())
  await vm.powerOn()
  await vm.booted()
  await said(vm, 'sh', '-c', 'dpkg --install /srv/packages/libatomic1_*.deb')
  const debs = ['mooring', 'mooring-controller'].map((name) => `/srv/packages/${name}_0.9.0-1_${arch}.deb`)

  t.match(
    await said(vm, 'apt-get', '--yes', '--no-install-recommends', 'install', ...debs),
    /there is no \/usr\/local\/bin\/pilot-discovery/,
  )
  const active = async () => (await vm.exec('systemctl', ['is-active', 'mooring-controller'])).stdout.trim()
  t.equal(await active(), 'inactive', 'not started without istiod')
  t.match(await said(vm, 'mooring', 'version'), /^\d+\.\d+\.\d+$/)
  t.match(await said(vm, 'mooring-controller', 'version'), /^\d+\.\d+\.\d+$/)

  await said(vm, 'install', '-m', '0755', '/srv/istiod', '/usr/local/bin/pilot-discovery')
  await said(vm, 'systemctl', 'start', 'mooring-controller')
  if (!(await ready(vm)))
    t.fail(await vm.journal(['--unit', 'mooring-controller', '--lines', '30', '--output', 'cat']))
  t.equal(await active(), 'active')
  t.match(
    await said(vm, 'ps', '-o', 'user=', '-C', 'pilot-discovery'),
    /^mooring/,
    'istiod is no root either',
  )
  const config = ['--config', '/etc/mooring/controller.yaml']
  const pin = await said(vm, 'mooring-controller', 'pin', ...config)
  await said(vm, 'mooring-controller', 'backup', ...config, '--out', '/var/backups/mooring')

  await said(vm, 'apt-get', '--yes', 'purge', 'mooring-controller')
  t.equal((await vm.exec('test', ['-e', '/var/lib/mooring-controller'])).code, 1, 'purged')
  const [, second = ''] = debs
  await said(
    vm,
    'sh',
    '-c',
    `printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d`,
  )
  await said(vm, 'dpkg', '--install', second)
  await said(vm, 'mooring-controller', 'restore', ...config, '/var/backups/mooring')
  await said(vm, 'systemctl', 'start', 'mooring-controller')
  t.ok(await ready(vm), 'what root restored is the service user’s')
  t.equal(await said(vm, 'mooring-controller', 'pin', ...config), pin, 'the same controller to its VMs')
})

t.test("an archive of Istio's own programs, in a deb as Istio's release has it", async (t) => {
  const root = path.join(folder, 'istio')
  const out = path.join(folder, 'out')
  await mkdir(out)
  for (const [from, to, mode] of [
    [parts.envoy, 'usr/local/bin/envoy', '2755'],
    [parts.pilotAgent, 'usr/local/bin/pilot-agent', '2755'],
    [parts.bootstrapTemplate, 'var/lib/istio/envoy/envoy_bootstrap_tmpl.json', '0644'],
  ] as const) {
    await run('install', ['-D', '-m', mode, from, path.join(root, to)])
  }
  await mkdir(path.join(root, 'DEBIAN'))
  const control = {
    Package: 'istio-sidecar',
    Version: parts.istioVersion,
    Architecture: arch,
    Maintainer: 'x <x@x>',
  }
  const lines = Object.entries({ ...control, Description: 'Istio Sidecar' }).map(
    ([key, value]) => `${key}: ${value}\n`,
  )
  await writeFile(path.join(root, 'DEBIAN/control'), lines.join(''))
  const deb = path.join(folder, 'istio-sidecar.deb')
  await run('dpkg-deb', ['-Zgzip', '-z1', '--root-owner-group', '--build', root, deb])

  const cli = path.join(project, 'cli/main.ts')
  const args = ['--json', 'artifact', 'build', '--package', deb, '--out', out]
  const built = JSON.parse(await run(process.execPath, [cli, ...args])) as {
    file: string
    version: string
    size: number
  }
  t.equal(built.version, parts.istioVersion)
  t.equal((await stat(built.file)).size, built.size)
  const target = path.join(folder, 'target')
  await mkdir(target)
  await unpackArchive(built.file, target, new AbortController().signal)
  t.match(await run(path.join(target, 'bin/pilot-agent'), ['version']), parts.istioVersion)
  t.match(await run(path.join(target, 'bin/envoy'), ['--version']), parts.envoyVersion)
  t.equal((await stat(path.join(target, 'bin/envoy'))).mode & 0o7777, 0o755, 'the agent gives it its group')
})
