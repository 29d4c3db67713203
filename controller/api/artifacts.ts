import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import type { ArtifactFolder } from './artifact-folder.ts'

export interface ArtifactFile {
  readonly version: string
  readonly arch: SidecarArtifact['arch']
  readonly file: string
}

export interface ArtifactsDeps {
  readonly files: readonly ArtifactFile[]
  /** Remembers digests between starts, by path, size and time of change. */
  readonly cacheFile: string
  /** What operators uploaded; it comes before what the configuration names. */
  readonly kept: Pick<ArtifactFolder, 'list' | 'fileOf'>
  readonly log: Log
}

/** The sidecar archives that this controller hands out. */
export interface Artifacts {
  /** Of each platform the first one is what VMs are to have. */
  list(): readonly SidecarArtifact[]
  find(sha256: string): SidecarArtifact | undefined
  /** Bytes `from` to `to`, both included. Throws `ARTIFACT_UNAVAILABLE` when the file is another one by now. */
  read(sha256: string, from: number, to: number): Promise<Readable>
}

interface Digest {
  readonly size: number
  readonly mtimeMs: number
  readonly sha256: string
}

/** Reads every archive once: the digest is what agents check, so nobody types it in. */
export async function createArtifacts(deps: ArtifactsDeps): Promise<Artifacts> {
  const { files, cacheFile, kept, log } = deps
  const cached = await readCache(cacheFile)
  const digests = new Map<string, Digest>()
  const bySha = new Map<
    string,
    { readonly artifact: SidecarArtifact; readonly file: string; readonly mtimeMs: number }
  >()
  for (const { version, arch, file } of files) {
    const digest = await digestOf(file, cached[file])
    digests.set(file, digest)
    const artifact = { version, arch, sha256: digest.sha256, size: digest.size }
    bySha.set(digest.sha256, { artifact, file, mtimeMs: digest.mtimeMs })
    log.info('sidecar artifact found', { ...artifact, file })
  }
  await writeAtomic(cacheFile, JSON.stringify(Object.fromEntries(digests)), 0o600)
  const configured = [...bySha.values()].map(({ artifact }) => artifact)
  const list = (): readonly SidecarArtifact[] => [
    ...kept.list().map(({ version, arch, sha256, size }) => ({ version, arch, sha256, size })),
    ...configured,
  ]
  const find = (sha256: string) => list().find((one) => one.sha256 === sha256)

  return {
    list,
    find,
    async read(sha256, from, to) {
      const uploaded = kept.fileOf(sha256)
      if (uploaded !== undefined) return createReadStream(uploaded, { start: from, end: to })
      const found = bySha.get(sha256)
      if (found === undefined) throw new MooringError('NOT_FOUND')
      const handle = await open(found.file).catch((error: unknown) => {
        throw new MooringError('ARTIFACT_UNAVAILABLE', { detail: errorText(error), cause: error })
      })
      const { size, mtimeMs } = await handle.stat()
      if (size !== found.artifact.size || mtimeMs !== found.mtimeMs) {
        await handle.close()
        log.error('sidecar artifact was changed while in use; start the controller again', {
          file: found.file,
        })
        throw new MooringError('ARTIFACT_UNAVAILABLE', { detail: 'the file was changed' })
      }
      return handle.createReadStream({ start: from, end: to })
    },
  }
}

async function digestOf(file: string, cached: Digest | undefined): Promise<Digest> {
  try {
    const { size, mtimeMs } = await stat(file)
    if (cached?.size === size && cached.mtimeMs === mtimeMs) return cached
    const hash = createHash('sha256')
    await pipeline(createReadStream(file), hash)
    return { size, mtimeMs, sha256: hash.digest('hex') }
  } catch (error) {
    throw new MooringError('CONFIG_INVALID', {
      detail: `sidecar.artifacts: ${file} cannot be read: ${errorText(error)}`,
      cause: error,
    })
  }
}

async function readCache(path: string): Promise<Readonly<Record<string, Digest>>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, Digest>
  } catch {
    // Absent or damaged: everything is read anew.
    return {}
  }
}
