import { chmod, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createArtifacts } from '../../../../agent/sidecar/artifact.ts'
import { downloadArtifact, type FetchArtifact } from '../../../../agent/sidecar/artifact-download.ts'
import {
  chooseArtifact,
  versionFolder,
  versionOfProgram,
} from '../../../../agent/sidecar/artifact-manifest.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { someBundle } from '../bundle.ts'
import { archiveOf, describe, goodEntries } from './archives.ts'

const { signal } = new AbortController()

/** A server that gives a part of `bytes` per request: as far as `upTo`, and then breaks or just ends. */
function server(bytes: Buffer, upTo = bytes.length, breaks = false) {
  const requests: number[] = []
  const fetchArtifact: FetchArtifact = async function* (_sha256, { from }) {
    requests.push(from)
    for (let at = from; at < upTo; at += 1000) yield bytes.subarray(at, Math.min(at + 1000, upTo))
    if (breaks) throw new MooringError('CONTROLLER_UNREACHABLE')
  }
  return { fetchArtifact, requests }
}

function folders(t: Test) {
  const base = t.testdir()
  const paths = {
    versions: join(base, 's/versions'),
    current: join(base, 's/current'),
    downloads: join(base, 's/download'),
  }
  return { base, paths }
}

const random = describe(Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 251)))

t.test('a download is checked, and resumed where it broke', async (t) => {
  const folder = join(t.testdir(), 'download')
  const broken = server(random.bytes, 4000, true)
  const get = (fetchArtifact: FetchArtifact) =>
    downloadArtifact(random.artifact, { folder, fetchArtifact }, signal)
  await t.rejects(get(broken.fetchArtifact), { code: 'CONTROLLER_UNREACHABLE' })
  const short = server(random.bytes, 7000)
  await t.rejects(get(short.fetchArtifact), {
    code: 'ARTIFACT_DIGEST_MISMATCH',
    detail: '7000 of 10000 bytes came',
  })
  const whole = server(random.bytes)
  t.same(await readFile(await get(whole.fetchArtifact)), random.bytes)
  t.same([...broken.requests, ...short.requests, ...whole.requests], [0, 4000, 7000])
  const again = server(random.bytes)
  await get(again.fetchArtifact)
  t.same(again.requests, [], 'what is complete is not asked for')
})

t.test('what is wrong is deleted, so that the next try begins anew', async (t) => {
  const folder = join(t.testdir(), 'download')
  const get = (bytes: Buffer) => downloadArtifact(random.artifact, { folder, ...server(bytes) }, signal)
  const altered = Buffer.from(random.bytes)
  altered[5000] = 255
  await t.rejects(get(altered), { code: 'ARTIFACT_DIGEST_MISMATCH', detail: 'its sha256 differs' })
  t.same(await readdir(folder), [])
  const long = Buffer.concat([random.bytes, Buffer.from('more')])
  await t.rejects(get(long), { code: 'ARTIFACT_DIGEST_MISMATCH', detail: 'more than 10000 bytes came' })
  t.same(await readdir(folder), [])
  await t.rejects(get(random.bytes.subarray(0, 5000)), { code: 'ARTIFACT_DIGEST_MISMATCH' })
  t.equal((await readdir(folder)).length, 1, 'a beginning is kept')
  await t.rejects(get(random.bytes.subarray(0, 5000)), { code: 'ARTIFACT_DIGEST_MISMATCH' })
  t.same(await readdir(folder), [], 'unless nothing comes after it')
})

t.test('a version appears complete, is used, and the one before it stays', async (t) => {
  const { paths } = folders(t)
  const versions = await Promise.all(
    ['1', '2', '3'].map((version) =>
      archiveOf([{ name: 'bin/pilot-agent', content: version }, ...goodEntries.slice(1)], version),
    ),
  )
  for (const { bytes, artifact } of versions) {
    const artifacts = createArtifacts({ paths, log, ...server(bytes) })
    t.notOk(await artifacts.installed(artifact))
    await artifacts.unpack(artifact, await artifacts.download(artifact, signal), signal)
    t.ok(await artifacts.installed(artifact))
    t.notOk(await artifacts.inUse(artifact), 'not before it is said')
    await artifacts.use(artifact)
    t.ok(await artifacts.inUse(artifact))
    const { version, sha256 } = artifact
    t.same(await artifacts.inForce(), { version, sha256, folder: versionFolder(paths.versions, artifact) })
    t.equal(await readFile(join(paths.current, 'bin/pilot-agent'), 'utf8'), artifact.version)
  }
  const names = versions.map(({ artifact }) => `${artifact.version}-${artifact.sha256.slice(0, 12)}`)
  t.same((await readdir(paths.versions)).toSorted(), names.slice(1))
  t.equal(await readlink(paths.current), `versions/${names[2]}`)
})

t.test('a damaged version does not count as installed, and is replaced', async (t) => {
  const { paths } = folders(t)
  const { bytes, artifact } = await archiveOf(goodEntries)
  const artifacts = createArtifacts({ paths, log, ...server(bytes) })
  const folder = versionFolder(paths.versions, artifact)
  const install = async () => artifacts.unpack(artifact, await artifacts.download(artifact, signal), signal)
  t.equal(await artifacts.inForce(), undefined)
  await install()
  await artifacts.use(artifact)
  const harm: Record<string, () => Promise<void>> = {
    'a cut file': () => writeFile(join(folder, 'bin/envoy'), 'cut'),
    'a file that cannot be run': () => chmod(join(folder, 'bin/envoy'), 0o644),
    'a missing file': () => rm(join(folder, 'bin/pilot-agent')),
    'a damaged manifest': () => writeFile(join(folder, 'manifest.json'), '{'),
    'no manifest': () => rm(join(folder, 'manifest.json')),
  }
  for (const [what, damage] of Object.entries(harm)) {
    t.ok(await artifacts.installed(artifact))
    await damage()
    t.notOk(await artifacts.installed(artifact), what)
    t.equal(await artifacts.inForce(), undefined, `${what}: nothing to start`)
    await install()
  }
  t.ok(await artifacts.installed(artifact))
})

t.test('what an unpacking left that was killed is removed, and a bad archive leaves nothing', async (t) => {
  const { paths } = folders(t)
  await mkdir(join(paths.versions, '.unfinished-abc/bin'), { recursive: true })
  const bad = await archiveOf([{ name: 'evil' }])
  const artifacts = createArtifacts({ paths, log, ...server(bad.bytes) })
  const archive = await artifacts.download(bad.artifact, signal)
  await t.rejects(artifacts.unpack(bad.artifact, archive, signal), { code: 'ARTIFACT_INVALID' })
  t.same(await readdir(paths.versions), [])
  t.same(await readdir(paths.downloads), [])
})

t.test('the artifact for the machine is chosen', async (t) => {
  const { artifact } = await archiveOf(goodEntries)
  const bundle = someBundle((b) => {
    b.sidecar.artifacts = [{ ...artifact, arch: 'arm64' }, artifact]
  })
  t.equal(chooseArtifact(bundle, 'amd64'), artifact)
  t.throws(() => chooseArtifact(bundle, 'riscv64'), { code: 'ARTIFACT_UNAVAILABLE' })
})

t.test('the folder of a program tells its version, and nothing else does', async (t) => {
  const folder = versionFolder('/v', { ...random.artifact, version: '1.29.1-rc.2' })
  t.equal(versionOfProgram(`${folder}/bin/pilot-agent`), '1.29.1-rc.2')
  t.equal(versionOfProgram('/usr/local/bin/pilot-agent'), undefined)
})
