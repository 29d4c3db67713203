import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../../../agent/config.ts'
import { readConfigFiles } from '../../../agent/host/config-files.ts'
import { signChecksums, writeChecksums } from '../../../packaging/release/checksums.ts'
import { createTestAuthority } from '../../fakes/authority.ts'
import { type CommandResult, mustRun, runCommand } from '../../testbed/command.ts'
import { overlayOptions } from '../../testbed/machines/container-command.ts'
import { ensureMachineParts } from '../../testbed/machines/parts.ts'
import { silentProgress } from '../../testbed/progress.ts'

const script = resolve(import.meta.dirname, '../../../packaging/installer/install.sh')
const { image } = await ensureMachineParts({ progress: silentProgress })
const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
const pin = `sha256:${'a'.repeat(64)}`
const settings = ['--controller', 'https://controller.mesh.internal:8443', '--pin', pin, '--pool', 'web']
const token = 'mrt_0123456789abcdef'

t.setTimeout(10 * 60_000)

t.test('a good release is installed with its settings, and again means nothing', async (t) => {
  const scene = await openScene(t)
  const first = await scene.install([...settings, '--token-file', '-'], token)
  t.equal(first.code, 0, first.stderr)
  t.match(first.stdout, `mooring-agent_1-1_${arch}.deb is installed\n`)
  t.ok(existsSync(join(scene.disk, 'installed')), 'the package was configured')
  const config = readConfig(await readConfigFiles(join(scene.disk, 'etc/mooring/agent.yaml')), {})
  t.match(config, {
    pool: 'web',
    controller: { trust: { pin } },
    join: { tokenFile: '/etc/mooring/installer.token' },
  })
  const file = join(scene.disk, 'etc/mooring/installer.token')
  t.equal(await readFile(file, 'utf8'), `${token}\n`)
  t.equal((await stat(file)).mode & 0o777, 0o600)

  await rm(join(scene.disk, 'installed'))
  const again = await scene.install([...settings, '--token-file', '-'], token)
  t.equal(again.code, 0, again.stderr)
  t.match(again.stdout, 'is installed already')
  t.equal(existsSync(join(scene.disk, 'installed')), false)

  const moved = await scene.install([...settings, '--pool', 'db'])
  t.equal(moved.code, 0, moved.stderr)
  const later = readConfig(await readConfigFiles(join(scene.disk, 'etc/mooring/agent.yaml')), {})
  t.match(later, { pool: 'db', join: { tokenFile: '/etc/mooring/installer.token' } }, 'the token is kept')
  t.equal((await scene.install(['--kind', 'deb'])).code, 0, 'and without settings none are touched')
})

t.test('the executable alone, and wget', async (t) => {
  const scene = await openScene(t)
  const path = '/srv/bin'
  const bin = join(scene.disk, path)
  await mkdir(bin, { recursive: true })
  // A system without curl and dpkg, whose wget is a stand-in: the root has none.
  for (const name of [
    'cat',
    'chmod',
    'cmp',
    'cp',
    'grep',
    'id',
    'mkdir',
    'mktemp',
    'mv',
    'openssl',
    'rm',
    'sed',
  ])
    await mustRun('ln', ['-s', `/usr/bin/${name}`, join(bin, name)])
  for (const name of ['sha256sum', 'stat', 'uname'])
    await mustRun('ln', ['-s', `/usr/bin/${name}`, join(bin, name)])
  const wget = `#!/bin/sh
for each do
  case $each in
    --ca-certificate=*) ca=\${each#*=} ;;
    --output-document=*) out=\${each#*=} ;;
    https://*) url=$each ;;
  esac
done
exec /usr/bin/curl --silent --fail --cacert "$ca" --output "$out" "$url"
`
  await writeFile(join(bin, 'wget'), wget, { mode: 0o755 })
  const { code, stdout, stderr } = await scene.install([], undefined, path)
  t.equal(code, 0, stderr)
  t.match(stdout, `mooring-agent-linux-${arch} is installed\n`)
  const program = join(scene.disk, 'usr/local/bin/mooring-agent')
  t.equal(await readFile(program, 'utf8'), 'the executable')
  t.equal((await stat(program)).mode & 0o777, 0o755)
  t.match((await scene.install([], undefined, path)).stdout, 'is installed already')
})

t.test('what is not the release is refused, and nothing of it is installed', async (t) => {
  const scene = await openScene(t)
  const refused = async (code: number, words: RegExp, what: string, ...more: readonly string[]) => {
    const result = await scene.install([...settings, ...more])
    t.equal(result.code, code, `${what}: ${result.stderr}`)
    t.match(result.stderr, words, what)
    t.equal(existsSync(join(scene.disk, 'installed')), false, what)
    t.equal(existsSync(join(scene.disk, 'etc/mooring')), false, what)
  }
  const deb = join(scene.release, `mooring-agent_1-1_${arch}.deb`)
  const good = await readFile(deb)

  await appendFile(deb, 'x')
  await refused(5, /is not what the release says/, 'a file that was altered')
  await writeFile(deb, good)
  await truncate(deb, 100)
  await refused(5, /is not what the release says/, 'a file that was cut')
  await rm(deb)
  await refused(4, /cannot download/, 'a file that is gone')
  await writeFile(deb, good)

  scene.cut = true
  await refused(4, /cannot download/, 'a connection that ends early')
  scene.cut = false

  const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })
  await writeFile(join(scene.disk, 'srv/other.pub'), other)
  await refused(5, /not signed by this key/, 'a release of somebody else', '--public-key', '/srv/other.pub')
  const sums = join(scene.release, 'SHA256SUMS')
  await appendFile(sums, `${'0'.repeat(64)}  more\n`)
  await refused(5, /not signed by this key/, 'sums that were altered')
  await writeFile(`${sums}.sig`, 'no signature')
  await refused(5, /not signed by this key/, 'a signature that is none')
  await rm(`${sums}.sig`)
  await refused(4, /cannot download.*SHA256SUMS\.sig/, 'no signature at all')
  const stranger = await createTestAuthority('Somebody else')
  await writeFile(join(scene.disk, 'srv/other.pem'), stranger.certificate)
  await refused(4, /certificate/, 'a server that is not trusted', '--ca-file', '/srv/other.pem')
})

t.test('a system that is not supported is told so', async (t) => {
  const scene = await openScene(t)
  const uname = join(scene.disk, 'usr/local/sbin/uname')
  await mkdir(join(scene.disk, 'usr/local/sbin'), { recursive: true })
  const is = (machine: string, system = 'Linux') =>
    writeFile(uname, `#!/bin/sh\ncase $1 in -m) echo ${machine} ;; *) echo ${system} ;; esac\n`, {
      mode: 0o755,
    })
  const path = '/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin'
  for (const [machine, system, words] of [
    ['riscv64', 'Linux', /riscv64 is not supported/],
    ['x86_64', 'FreeBSD', /FreeBSD is not supported/],
  ] as const) {
    await is(machine, system)
    const { code, stderr } = await scene.install([], undefined, path)
    t.equal(code, 3)
    t.match(stderr, words)
  }
  await rm(uname)
  const rpm = await scene.install(['--kind', 'rpm'])
  t.equal(rpm.code, 3)
  t.match(rpm.stderr, 'this system has no rpm')
  const bare = await scene.install(['--token-file', '-', ...settings], 'short')
  t.equal(bare.code, 2)
  t.match(bare.stderr, '- does not hold a join token')
  t.notMatch(bare.stderr, 'short')
})

/** A release of stand-ins, signed and served by HTTPS, and a Debian root that may be changed. */
async function openScene(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-installer-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const overlay = { layers: image.layers, upper: `${dir}/disk`, work: `${dir}/work`, merged: `${dir}/root` }
  const release = join(dir, 'release')
  for (const each of [overlay.upper, overlay.work, overlay.merged, release, `${dir}/disk/srv`])
    await mkdir(each)
  await mustRun('dpkg-deb', ['--root-owner-group', '--build', await packageFolder(dir), release])
  await writeFile(join(release, `mooring-agent-linux-${arch}`), 'the executable')
  await writeChecksums(release)
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  await writeFile(join(dir, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await signChecksums(release, join(dir, 'key.pem'))

  const authority = await createTestAuthority('Test release')
  const { key, certificate } = await authority.server({ addresses: ['127.0.0.1'] })
  const scene = { release, disk: overlay.upper, cut: false, install }
  const server = createServer({ key, cert: certificate }, async (request, response) => {
    const body = await readFile(join(release, (request.url ?? '').replace('/mooring/', ''))).catch(
      () => undefined,
    )
    if (body === undefined) return response.writeHead(404).end()
    response.writeHead(200, { 'content-length': body.length })
    if (!scene.cut) return response.end(body)
    response.write(body.subarray(0, body.length / 2), () => response.destroy())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => new Promise((done) => server.close(done)))
  const { port } = server.address() as AddressInfo
  const srv = join(overlay.upper, 'srv')
  await writeFile(join(srv, 'release.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  await writeFile(join(srv, 'ca.pem'), authority.certificate)
  await writeFile(join(srv, 'install.sh'), await readFile(script))

  function install(args: readonly string[], input?: string, path = '/usr/sbin:/usr/bin:/sbin:/bin') {
    const mount = `mount -t overlay overlay -o "$1" "$2" && mount -t proc proc "$2/proc" &&
      mount --bind /dev "$2/dev" || exit 125; root=$2; shift 2; exec chroot "$root" "$@"`
    const base = ['--base-url', `https://127.0.0.1:${port}/mooring/`, '--ca-file', '/srv/ca.pem']
    return runCommand(
      'unshare',
      [
        ...['--mount', '--propagation', 'private', '--', 'sh', '-c', mount, 'sh'],
        ...[overlayOptions(overlay), overlay.merged],
        ...['/usr/bin/env', '-i', `PATH=${path}`, '/bin/sh', '/srv/install.sh', ...base],
        ...['--public-key', '/srv/release.pub', ...args],
      ],
      { timeoutMs: 120_000, ...(input !== undefined && { input }) },
    ) as Promise<CommandResult>
  }
  return scene
}

// What the agent's package has that matters to an installer, and nothing else.
async function packageFolder(dir: string): Promise<string> {
  const folder = join(dir, 'package')
  const files = {
    'DEBIAN/control': `Package: mooring-agent\nVersion: 1-1\nArchitecture: ${arch}\nMaintainer: Nobody <nobody@mooring.example>\nDescription: a stand-in\n`,
    'DEBIAN/postinst': '#!/bin/sh\ntouch /installed\n',
    'usr/bin/mooring-agent': '#!/bin/sh\n',
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  await chmod(join(folder, 'DEBIAN/postinst'), 0o755)
  return folder
}
