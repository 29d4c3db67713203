/**
 * Installs and writes on a file system that is too small; prints what came of it as JSON. Runs in a mount
 * namespace of its own: `unshare --mount node disk-full-process.ts FOLDER ARCHIVE SHA256 SIZE`.
 */
import { execFileSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, readdir, readFile, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomic } from '../../../agent/host/files.ts'
import { createArtifacts } from '../../../agent/sidecar/artifact.ts'
import { sidecarFileList } from '../../../agent/sidecar/files.ts'
import { sidecarPaths, sidecarUser } from '../../../agent/sidecar/paths.ts'
import { createRunFolder } from '../../../agent/sidecar/run-folder.ts'
import { isMooringError } from '../../../shared/errors.ts'
import { silentLog as log } from '../../../shared/log.ts'
import { someBundle } from '../../unit/agent/bundle.ts'

const [state = '', archive = '', sha256 = '', size = ''] = process.argv.slice(2)
const { signal } = new AbortController()
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error) => (isMooringError(error) ? error.code : String(error)),
  )
const resize = (megabytes: number) => execFileSync('mount', ['-o', `remount,size=${megabytes}m`, state])
const freeBytes = async () => {
  const { bavail, bsize } = await statfs(state)
  return bavail * bsize
}

execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0755', 'tmpfs', state])
const paths = sidecarPaths({ state, log: state })
const artifact = { version: '1', arch: 'amd64' as const, sha256, size: Number(size) }
const artifacts = createArtifacts({
  paths,
  log,
  fetchArtifact: (_sha256, { from }) => createReadStream(archive, { start: from }),
})
const result: Record<string, unknown> = {}

result.download = await codeOf(artifacts.download(artifact, signal))
result.downloadLeft = await readdir(paths.downloads)

// Room for the archive, but not for what is in it.
resize(Math.ceil(Number(size) / 2 ** 20) + 30)
const path = await artifacts.download(artifact, signal)
result.unpack = await codeOf(artifacts.unpack(artifact, path, signal))
result.versionsLeft = await readdir(paths.versions)

const runFolder = createRunFolder({ path: paths.run, state, user: sidecarUser })
const bundle = someBundle()
await runFolder.write(sidecarFileList(bundle))
await writeAtomic(join(state, 'state.json'), 'old', { mode: 0o600 })
await mkdir(join(state, 'fill'))
await codeOf(writeFile(join(state, 'fill/all'), Buffer.alloc(await freeBytes())))
await codeOf(writeFile(join(state, 'fill/rest'), Buffer.alloc(65_536)))
const larger = { ...bundle, mesh: { ...bundle.mesh, rootCertificates: 'x'.repeat(60_000) } }
result.files = await codeOf(runFolder.write(sidecarFileList(larger)))
result.rootCertificate = await readFile(join(paths.run, 'etc/certs/root-cert.pem'), 'utf8')
result.state = await codeOf(writeAtomic(join(state, 'state.json'), 'x'.repeat(60_000), { mode: 0o600 }))
result.stateContent = await readFile(join(state, 'state.json'), 'utf8')
result.names = (await readdir(state)).toSorted()

resize(1024)
result.filesLater = await codeOf(runFolder.write(sidecarFileList(larger)))
const again = await artifacts.download(artifact, signal)
result.unpackLater = await codeOf(artifacts.unpack(artifact, again, signal))
process.stdout.write(JSON.stringify(result))
