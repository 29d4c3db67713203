import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import { asStorageFault } from '../host/files.ts'

/** Reads an archive from the controller, from byte `from` on. */
export type FetchArtifact = (
  sha256: string,
  options: { readonly from: number; readonly signal: AbortSignal },
) => AsyncIterable<Uint8Array>

export interface DownloadDeps {
  readonly folder: string
  readonly fetchArtifact: FetchArtifact
}

/**
 * Brings the archive to disk and returns its path, with its digest checked. What a broken transfer left is
 * continued by the next one; what turns out to be wrong is deleted.
 */
export async function downloadArtifact(
  artifact: SidecarArtifact,
  { folder, fetchArtifact }: DownloadDeps,
  signal: AbortSignal,
): Promise<string> {
  const path = join(folder, `${artifact.sha256}.part`)
  // Not for everybody's eyes, but the folders above it are on the way to the program.
  await mkdir(dirname(folder), { recursive: true, mode: 0o755 })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = await open(path, 'a', 0o600)
  try {
    const hash = createHash('sha256')
    const from = await hashFile(path, hash, signal)
    const length = from >= artifact.size ? from : await append(from)
    if (length < artifact.size) {
      // Kept for the next try, unless this one brought nothing: then the part itself may be what is wrong.
      if (length === from) await rm(path, { force: true })
      throw mismatch(`${length} of ${artifact.size} bytes came`)
    }
    if (length > artifact.size || hash.digest('hex') !== artifact.sha256) {
      await rm(path, { force: true })
      throw mismatch(length > artifact.size ? `more than ${artifact.size} bytes came` : 'its sha256 differs')
    }
    await file.sync()
    return path

    async function append(start: number): Promise<number> {
      let end = start
      for await (const chunk of fetchArtifact(artifact.sha256, { from: start, signal })) {
        signal.throwIfAborted()
        end += chunk.byteLength
        if (end > artifact.size) break
        hash.update(chunk)
        await writeAll(file, chunk)
      }
      return end
    }
  } catch (error) {
    const reason = asStorageFault(error, folder)
    // The space is worth more to the machine than the bytes are to us.
    if (isMooringError(reason, 'DISK_FULL')) await rm(path, { force: true })
    throw reason
  } finally {
    await file.close()
  }
}

async function hashFile(path: string, hash: Hash, signal: AbortSignal): Promise<number> {
  let length = 0
  for await (const chunk of createReadStream(path, { signal })) {
    const bytes: Buffer = chunk
    hash.update(bytes)
    length += bytes.length
  }
  return length
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.byteLength; ) {
    const { bytesWritten } = await file.write(chunk, done, chunk.byteLength - done)
    done += bytesWritten
  }
}

function mismatch(detail: string): MooringError {
  return new MooringError('ARTIFACT_DIGEST_MISMATCH', { detail })
}
