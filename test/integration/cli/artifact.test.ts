import { generateKeyPairSync } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { unpackArchive } from '../../../agent/sidecar/artifact-archive.ts'
import { archiveFiles as agentFiles } from '../../../agent/sidecar/artifact-manifest.ts'
import { buildArchive, unpackPackage } from '../../../cli/artifact/archive.ts'
import { openDeb } from '../../../cli/artifact/deb.ts'
import { archiveFiles } from '../../../cli/artifact/layout.ts'
import { openRpm } from '../../../cli/artifact/rpm.ts'
import { toolsFolder } from '../../../packaging/tools/cache.ts'
import { run } from '../../../packaging/tools/command.ts'
import { provideNfpm } from '../../../packaging/tools/nfpm.ts'
import { runMooring } from './command.ts'

const nfpm = await provideNfpm({ cacheFolder: toolsFolder(process.env), searchPath: process.env.PATH ?? '' })
const folder = await mkdtemp(path.join(tmpdir(), 'mooring-artifact-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

/** The first bytes of a program for amd64, and then what tells it from others. */
function program(name: string, machine = 62): Buffer {
  const header = Buffer.alloc(64)
  header.write('\x7fELF', 'latin1')
  header.writeUInt16LE(machine, 18)
  return Buffer.concat([header, Buffer.from(name.repeat(50_000))])
}

const contents = {
  envoy: program('envoy'),
  'pilot-agent': program('pilot-agent'),
  'envoy_bootstrap_tmpl.json': Buffer.from('{ "node": {}, "static_resources": {} }\n'),
}
const files = path.join(folder, 'files')
await mkdir(files)
for (const [name, content] of Object.entries(contents)) await writeFile(path.join(files, name), content)
await writeFile(path.join(files, 'istio-start.sh'), '#!/bin/sh\n')

/** A package as Istio's release has it (istio tools/packaging): setgid programs, its own unit and script. */
async function packaged(format: 'deb' | 'rpm', compression: string, leftOut?: string): Promise<string> {
  const all = [
    { src: 'envoy', dst: '/usr/local/bin/envoy', mode: 0o2755 },
    { src: 'pilot-agent', dst: '/usr/local/bin/pilot-agent', mode: 0o2755 },
    { src: 'istio-start.sh', dst: '/usr/local/bin/istio-start.sh', mode: 0o755 },
    { src: 'envoy_bootstrap_tmpl.json', dst: '/var/lib/istio/envoy/envoy_bootstrap_tmpl.json', mode: 0o644 },
  ]
  const name = `istio-sidecar-${compression.replace(':', '-')}-${leftOut ?? 'whole'}`
  const config = {
    ...{ name: 'istio-sidecar', arch: 'amd64', platform: 'linux', version: '1.29.1', version_schema: 'none' },
    ...{ maintainer: 'x <x@example.org>', description: 'Istio Sidecar', release: '' },
    contents: all
      .filter(({ src }) => src !== leftOut)
      .map(({ src, dst, mode }) => ({ src: path.join(files, src), dst, file_info: { mode } })),
    [format]: { compression },
  }
  const file = path.join(folder, `${name}.${format}`)
  await writeFile(`${file}.json`, JSON.stringify(config))
  await run(nfpm, ['package', '--config', `${file}.json`, '--packager', format, '--target', file])
  return file
}

const mooring = (...argv: readonly string[]) => runMooring(argv, { home: folder })

t.test('the archive is what agents take', async (t) => {
  t.same(new Map(archiveFiles.map(({ name, mode }) => [name as string, mode as number])), agentFiles)
})

const formats = [
  ...['gzip', 'xz', 'zstd', 'none'].map((compression) => ({ format: 'deb' as const, compression })),
  ...['gzip', 'xz', 'zstd', 'lzma'].map((compression) => ({ format: 'rpm' as const, compression })),
]
const digests = new Set<string>()
for (const { format, compression } of formats) {
  t.test(`a ${format} with ${compression} becomes an archive that the agent unpacks`, async (t) => {
    const file = await packaged(format, compression)
    const work = await mkdtemp(path.join(folder, 'work-'))
    const opened = await (format === 'deb' ? openDeb(file) : openRpm(file))
    t.equal(opened.version, '1.29.1')
    const built = await buildArchive(
      opened.version,
      await unpackPackage(opened, work),
      path.join(work, 'out'),
    )
    t.match(built, { version: '1.29.1', arch: 'amd64', file: /sidecar-1\.29\.1-amd64\.tar\.gz$/ })
    const target = path.join(work, 'unpacked')
    await mkdir(target)
    await unpackArchive(built.file, target, new AbortController().signal)
    for (const [name, content] of Object.entries(contents)) {
      const place = name.endsWith('.json') ? name : `bin/${name}`
      t.same(await readFile(path.join(target, place)), content, name)
    }
    digests.add(built.sha256)
  })
}

t.test('whatever it was made of, it has the same bytes', async (t) => {
  t.equal(digests.size, 1)
})

t.test('build, list and verify', async (t) => {
  const deb = await packaged('deb', 'gzip')
  const out = path.join(folder, 'archives')
  await mkdir(out)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const [key, pub] = [path.join(folder, 'key.pem'), path.join(folder, 'pub.pem')]
  await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await writeFile(pub, publicKey.export({ type: 'spki', format: 'pem' }))

  const built = await mooring('--json', 'artifact', 'build', '--package', deb, '--out', out, '--sign', key)
  t.equal(built.code, 0, built.err)
  const { file, sha256 } = JSON.parse(built.out) as { file: string; sha256: string }
  t.match(await mooring('artifact', 'list', out), { code: 0, out: sha256 })
  t.match(await mooring('artifact', 'verify', file, '--sha256', sha256, '--key', pub), {
    code: 0,
    out: /whole, for amd64.*signed/,
  })

  const other = generateKeyPairSync('ed25519').publicKey
  await writeFile(pub, other.export({ type: 'spki', format: 'pem' }))
  t.match(await mooring('artifact', 'verify', file, '--key', pub), { code: 1, err: /another key/ })
  t.match(await mooring('artifact', 'verify', file, '--sha256', '0'.repeat(64)), { code: 1, err: sha256 })
  const content = await readFile(file)
  content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1
  await writeFile(file, content)
  t.match(await mooring('artifact', 'verify', file), { code: 1, err: /ARTIFACT_INVALID/ }, 'one bit')
})

t.test('what is no sidecar is refused, and leaves nothing', async (t) => {
  const out = path.join(folder, 'refused')
  await mkdir(out)
  const build = (...args: readonly string[]) => mooring('artifact', 'build', '--out', out, ...args)
  const deb = await packaged('deb', 'gzip')
  const damaged = path.join(folder, 'damaged.deb')
  const whole = await readFile(deb)
  const wrong = {
    'without Envoy': [await packaged('deb', 'gzip', 'envoy'), /envoy is missing/],
    'without Envoy, as rpm': [await packaged('rpm', 'gzip', 'envoy'), /envoy is missing/],
    'cut short': [damaged, /damaged or cut short/],
    'no package': [path.join(files, 'envoy'), /no deb/],
  } as const
  await writeFile(damaged, whole.subarray(0, whole.length - 5000))
  for (const [what, [file, words]] of Object.entries(wrong)) {
    t.match(await build('--package', file), { code: 1, err: words }, what)
  }
  t.match(await build('--package', deb, '--sha256', '0'.repeat(64)), { code: 1, err: /DIGEST/ })
  t.match(await build('--url', 'http://localhost/x.deb', '--sha256', '0'.repeat(64)), { err: /is not https/ })
  t.match(await build('--url', 'https://localhost/x.deb'), { err: /needs --sha256/ })
  t.match(await build(), { err: /say of what/ })

  const other = path.join(folder, 'arm-envoy')
  await writeFile(other, program('envoy', 183))
  await chmod(other, 0o755)
  await copyFile(path.join(files, 'pilot-agent'), path.join(folder, 'pilot'))
  const programs = ['--envoy', other, '--pilot-agent', path.join(folder, 'pilot')]
  const template = ['--bootstrap', path.join(files, 'envoy_bootstrap_tmpl.json')]
  const mixed = await build(...programs, ...template, '--sidecar-version', '1.0.0')
  t.match(mixed, { code: 1, err: /Envoy is for arm64, pilot-agent for amd64/ })
  t.match(await mooring('--json', 'artifact', 'list', out), { code: 0, out: '[]' })
})
