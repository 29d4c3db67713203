import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { signChecksums } from '../../../packaging/release/checksums.ts'
import { makeRelease } from '../../../packaging/release/release.ts'
import { toolsFolder } from '../../../packaging/tools/cache.ts'
import { run } from '../../../packaging/tools/command.ts'
import { provideNfpm } from '../../../packaging/tools/nfpm.ts'
import { createRuntimes, hostArchOf } from '../../../packaging/tools/runtimes.ts'

const project = path.resolve(import.meta.dirname, '../../..')
const cacheFolder = toolsFolder(process.env)
const nfpm = await provideNfpm({ cacheFolder, searchPath: process.env.PATH ?? '' })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-release-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

async function release(name: string): Promise<string> {
  const out = path.join(folder, name)
  await makeRelease({
    ...{ project, out, version: '1.2.3', epoch: 1_700_000_000, nfpm, draft: true, hostArch: process.arch },
    archs: [hostArchOf(process.arch)],
    formats: ['deb', 'rpm'],
    packages: ['mooring-agent', 'mooring-controller'],
    runtimes: createRuntimes({ project, cacheFolder, hostArch: process.arch }),
    say: () => {},
  })
  return out
}

const [first, second] = [await release('first'), await release('a/second')]
const checksums = await readFile(path.join(first, 'SHA256SUMS'), 'utf8')

t.test('made twice, it is the same', async (t) => {
  t.equal(await readFile(path.join(second, 'SHA256SUMS'), 'utf8'), checksums)
  await run('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: first })
  const files = (await readdir(first, { recursive: true, withFileTypes: true })).filter((one) => one.isFile())
  t.equal(checksums.trim().split('\n').length, files.length - 1, 'every file but itself is in SHA256SUMS')
})

t.test('the signature is one that openssl verifies', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = path.join(folder, 'release.key')
  await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  await writeFile(path.join(folder, 'release.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  await signChecksums(first, key)
  const args = ['pkeyutl', '-verify', '-pubin', '-inkey', path.join(folder, 'release.pub'), '-rawin']
  const files = ['-in', path.join(first, 'SHA256SUMS'), '-sigfile', path.join(first, 'SHA256SUMS.sig')]
  t.match(await run('openssl', [...args, ...files]), /Verified Successfully/)
  await writeFile(path.join(first, 'SHA256SUMS'), `${checksums}${'0'.repeat(64)}  evil\n`)
  await t.rejects(run('openssl', [...args, ...files]))
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  await writeFile(key, rsa.export({ type: 'pkcs8', format: 'pem' }))
  await t.rejects(signChecksums(second, key), /no Ed25519 key/)
})

t.test('the lists of parts name what is in each program, and nothing else', async (t) => {
  const parts = async (name: string) => {
    const { components } = JSON.parse(await readFile(path.join(first, `${name}.cdx.json`), 'utf8')) as {
      components: readonly { name: string; version: string; purl: string }[]
    }
    t.ok(components.every((one) => one.version !== '' && one.purl.startsWith('pkg:npm/')))
    return components.map((one) => one.name)
  }
  const agent = await parts('mooring-agent')
  for (const name of ['bun', 'typebox', 'yaml', 'tar-stream']) t.ok(agent.includes(name), name)
  for (const name of ['fastify', 'node-forge', 'tap', 'typescript', 'ws']) t.notOk(agent.includes(name), name)
  const controller = await parts('mooring-controller')
  for (const name of ['node', 'fastify', 'node-forge', 'jose']) t.ok(controller.includes(name), name)
  t.ok((await parts('mooring')).includes('commander'))
})

t.test('the packages hold what a machine needs', async (t) => {
  const arch = hostArchOf(process.arch)
  const deb = path.join(first, `mooring-agent_1.2.3-1_${arch}.deb`)
  const listed = await run('dpkg-deb', ['--contents', deb])
  for (const file of [
    'usr/bin/mooring-agent',
    'etc/mooring/agent.yaml',
    'etc/cloud/clean.d/50-mooring-agent',
    'usr/lib/systemd/system/mooring-agent.service',
    'usr/lib/systemd/system/mooring-sidecar.service',
    'usr/lib/systemd/system/mooring-drain.service',
    'usr/lib/sysusers.d/mooring-agent.conf',
    'usr/lib/tmpfiles.d/mooring-agent.conf',
    'usr/share/man/man8/mooring-agent.8.gz',
    'usr/share/bash-completion/completions/mooring-agent',
  ]) {
    t.match(listed, ` ./${file}\n`, file)
  }
  t.notMatch(listed, /\.\/(var|run|tmp)\//, 'nothing that only a running machine has')
  const about = await run('dpkg-deb', ['--field', deb, 'Version', 'Architecture', 'Depends'])
  t.match(about, `Version: 1.2.3-1\nArchitecture: ${arch}\nDepends: libc6 (>= 2.17), iptables | nftables`)
  const unpacked = path.join(folder, 'unpacked')
  await run('dpkg-deb', ['--extract', deb, unpacked])
  const agent = path.join(unpacked, 'usr/bin/mooring-agent')
  t.match(await run(agent, ['version']), 'mooring-agent')
})
