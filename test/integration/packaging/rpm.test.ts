import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { makePackage, type PackageName } from '../../../packaging/linux-packages/packages.ts'
import { toolsFolder } from '../../../packaging/tools/cache.ts'
import { run } from '../../../packaging/tools/command.ts'
import { provideNfpm } from '../../../packaging/tools/nfpm.ts'

const project = path.resolve(import.meta.dirname, '../../..')
const nfpm = await provideNfpm({ cacheFolder: toolsFolder(process.env), searchPath: process.env.PATH ?? '' })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-rpm-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

/** What a build would have made: here their names alone matter. */
const built: Readonly<Record<PackageName, readonly string[]>> = {
  'mooring-agent': ['mooring-agent'],
  'mooring-controller': ['controller/main.mjs'],
  mooring: ['node', 'cli/main.mjs', 'package.json'],
}

async function makeRpm(name: PackageName): Promise<string> {
  const stand = path.join(folder, 'stand-in')
  await writeFile(stand, 'stand-in')
  const sections = { 'mooring-agent': 8, 'mooring-controller': 8, mooring: 1 }
  const texts = [
    `man/${name}.${sections[name]}.gz`,
    ...[`${name}.bash`, `${name}.fish`, `_${name}`].map((file) => `completion/${file}`),
  ]
  const files = Object.fromEntries([...built[name], ...texts].map((file) => [file, stand]))
  const out = path.join(folder, name)
  await mkdir(out)
  return makePackage(
    { name, format: 'rpm', arch: 'arm64', version: '1.2.3-rc.1', built: files, out },
    { project, nfpm, workFolder: path.join(out, 'work'), epoch: 1_700_000_000, draft: true },
  )
}

const rpms = {
  agent: await makeRpm('mooring-agent'),
  controller: await makeRpm('mooring-controller'),
  mooring: await makeRpm('mooring'),
}
/** What rpm says about a package that is not installed. */
const query = (file: string, ...args: readonly string[]) =>
  run('rpm', ['--query', '--package', ...args, file])

t.test('rpm finds each package whole, and the same wherever it was made', async (t) => {
  for (const [name, file] of Object.entries(rpms)) {
    const checked = await run('rpm', ['--checksig', '--verbose', file])
    t.match(checked, 'Header SHA256 digest: OK', name)
    t.match(checked, 'Payload SHA256 digest: OK', name)
    const about = await query(
      file,
      '--queryformat',
      '%{BUILDHOST} %{BUILDTIME} %{ARCH} %{VERSION} %{LICENSE}',
    )
    t.equal(about, 'reproducible 1700000000 aarch64 1.2.3~rc.1 Apache-2.0')
    t.notMatch(await query(file, '--xml'), `<string>${hostname()}</string>`)
  }
})

t.test('what each needs', async (t) => {
  t.match(await query(rpms.agent, '--requires'), '(iptables or nftables)')
  t.match(await query(rpms.controller, '--requires'), /^mooring = 1\.2\.3/m)
  for (const file of Object.values(rpms)) t.equal(await query(file, '--conflicts'), '')
})

t.test('files belong to root, what a person edits is configuration', async (t) => {
  for (const file of Object.values(rpms)) {
    for (const line of (
      await query(
        file,
        '--queryformat',
        '[%{FILENAMES} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEMODES:octal}\n]',
      )
    )
      .trim()
      .split('\n')) {
      const [name = '', user, group, mode = ''] = line.split(' ')
      t.same([user, group], ['root', 'root'], name)
      t.notOk(
        Number.parseInt(mode, 8) & 0o6022,
        `${name} is no setuid program, and its own user alone writes it`,
      )
    }
  }
  const configs = (await query(rpms.agent, '--configfiles')).trim().split('\n')
  t.same(configs, ['/etc/cloud/clean.d/50-mooring-agent', '/etc/mooring/agent.yaml'])
  t.same((await query(rpms.controller, '--configfiles')).trim(), '/etc/mooring/controller.yaml')
  const listed = (await query(rpms.agent, '--list')).trim().split('\n')
  for (const file of [
    '/usr/bin/mooring-agent',
    '/usr/lib/systemd/system/mooring-agent.service',
    '/usr/lib/systemd/system/mooring-drain.service',
    '/usr/lib/systemd/system/mooring-sidecar.service',
    '/usr/lib/sysusers.d/mooring-agent.conf',
    '/usr/share/zsh/site-functions/_mooring-agent',
  ]) {
    t.ok(listed.includes(file), file)
  }
  t.same(
    listed.filter((file) => /^\/(var|run|tmp)\//.test(file)),
    [],
  )
})

t.test('the scripts are whole, and a shell reads them', async (t) => {
  for (const [name, file] of Object.entries({ agent: rpms.agent, controller: rpms.controller })) {
    for (const tag of ['POSTIN', 'PREUN', 'POSTUN']) {
      const script = path.join(folder, `${name}-${tag}`)
      const text = await query(file, '--queryformat', `%{${tag}}`)
      t.match(text, 'systemctl', `${name} ${tag}`)
      await writeFile(script, text)
      await run('sh', ['-n', script])
      t.equal(await query(file, '--queryformat', `%{${tag}PROG}`), '/bin/sh')
    }
  }
  const scripts = await query(rpms.mooring, '--scripts')
  t.equal(scripts, '', 'programs that nothing runs need none')
})
