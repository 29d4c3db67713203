import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Header } from 'tar-stream'
import { errorText, MooringError } from '../../shared/errors.ts'
import { asStorageFault, hasErrno, syncFolder } from '../host/files.ts'
import { archiveFiles, type Manifest } from './artifact-manifest.ts'

/** No file of a sidecar is larger; bounds what a small archive can unpack to. */
const maxFileBytes = 2 ** 30

/**
 * Unpacks a sidecar archive (tar, gzip) into an empty folder, with nothing larger than a chunk in memory.
 * Throws `ARTIFACT_INVALID` for anything but exactly the expected plain files.
 */
export async function unpackArchive(
  archive: string,
  folder: string,
  signal: AbortSignal,
): Promise<Manifest['files']> {
  const files: Manifest['files'] = []
  // Most starts unpack nothing.
  const { extract } = await import('tar-stream')
  const entries = extract()
  const consume = async (): Promise<void> => {
    for await (const entry of entries) {
      const { name } = entry.header
      const mode = acceptedMode(entry.header, files)
      files.push(await writeEntry(join(folder, name), name, mode, chunksOf(entry)))
    }
  }
  const source = pipeline(createReadStream(archive), createGunzip(), entries, { signal })
  // Both are waited for: whichever fails takes the other with it, and nothing may be written after this returns.
  const [consumed, read] = await Promise.allSettled([consume(), source])
  signal.throwIfAborted()
  const reasons = [consumed, read].flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  if (reasons.length > 0) throw asInvalid(reasons, folder)
  const missing = [...archiveFiles.keys()].filter((path) => !files.some((file) => file.path === path))
  if (missing.length > 0) throw invalid(`${missing.join(', ')} is missing`)
  for (const name of ['', ...new Set(files.map((file) => dirname(file.path)))])
    await syncFolder(join(folder, name))
  return files
}

/** Its types do not say what its stream can do. */
function chunksOf(entry: object): AsyncIterable<Uint8Array> {
  return entry as AsyncIterable<Uint8Array>
}

function acceptedMode({ name, type, size }: Header, seen: Manifest['files']): number {
  const mode = archiveFiles.get(name)
  if (type !== 'file') throw invalid(`${quoted(name)} is a ${type}, not a plain file`)
  if (mode === undefined) throw invalid(`${quoted(name)} does not belong in it`)
  if (seen.some((file) => file.path === name)) throw invalid(`${quoted(name)} is in it twice`)
  if (size > maxFileBytes) throw invalid(`${quoted(name)} is larger than a sidecar is`)
  return mode
}

async function writeEntry(
  path: string,
  name: string,
  mode: number,
  content: AsyncIterable<Uint8Array>,
): Promise<Manifest['files'][number]> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  const file = await open(path, 'wx', mode)
  const hash = createHash('sha256')
  let size = 0
  try {
    for await (const chunk of content) {
      hash.update(chunk)
      size += chunk.byteLength
      for (let done = 0; done < chunk.byteLength; ) {
        done += (await file.write(chunk, done, chunk.byteLength - done)).bytesWritten
      }
    }
    // Again, since the umask took its share of it.
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
  return { path: name, size, sha256: hash.digest('hex') }
}

/** The reason that says most: ours, the machine's, or else that the bytes are no archive. */
function asInvalid(reasons: readonly unknown[], folder: string): unknown {
  const known = reasons.map((reason) => asStorageFault(reason, folder))
  const machine = (reason: unknown) => hasErrno(reason, 'EIO', 'EROFS', 'EACCES', 'ENOENT', 'EMFILE')
  const best = known.find((reason) => reason instanceof MooringError) ?? known.find(machine)
  if (best !== undefined) return best
  const cause = reasons.at(-1)
  return new MooringError('ARTIFACT_INVALID', { detail: errorText(cause), cause })
}

function invalid(detail: string): MooringError {
  return new MooringError('ARTIFACT_INVALID', { detail })
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}
