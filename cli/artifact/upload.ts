import { type FileHandle, open } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { ArtifactReceived, uploadLimits } from '../../shared/api/artifact.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Client } from '../client.ts'
import { type BuiltArchive, checkArchive } from './archive.ts'
import { type Arch, parseArchiveName } from './layout.ts'
import { inFolder } from './work-folder.ts'

/** Unpacks an archive to see that it is one, and says for which machines. Throws `ARTIFACT_INVALID`. */
export async function verifyArchive(file: string): Promise<Arch> {
  const arch = await inFolder(resolve(file, '..'), (folder) => checkArchive(file, folder))
  const named = parseArchiveName(basename(file))
  if (named !== undefined && named.arch !== arch) {
    throw new MooringError('ARTIFACT_INVALID', {
      detail: `its name says ${named.arch}, its programs are for ${arch}`,
    })
  }
  return arch
}

/** Sends an archive in pieces, each of which the client repeats by itself if its answer is lost. */
export async function uploadArchive(
  client: Pick<Client, 'call'>,
  { file, sha256, version, arch, size }: BuiltArchive,
  signature: string | undefined,
  progress: (received: number) => void,
): Promise<void> {
  if (size > uploadLimits.archive)
    throw new MooringError('ARTIFACT_INVALID', { detail: `${file} is too large` })
  const handle = await open(file)
  try {
    for (let offset = 0; ; ) {
      const bytes = await readPiece(handle, offset, Math.min(uploadLimits.piece, size - offset))
      const query = { version, arch, size, offset, signature }
      const answer = await client.call('PUT', `/v1/artifacts/${sha256}`, ArtifactReceived, { query, bytes })
      progress(answer.received)
      if (answer.served) return
      offset += bytes.length
    }
  } finally {
    await handle.close()
  }
}

async function readPiece(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let read = 0
  while (read < length) {
    const { bytesRead } = await handle.read(bytes, read, length - read, offset + read)
    if (bytesRead === 0) throw new MooringError('ARTIFACT_INVALID', { detail: 'it became shorter meanwhile' })
    read += bytesRead
  }
  if (length === 0)
    throw new MooringError('ARTIFACT_INVALID', { detail: 'it was sent whole, and is not served' })
  return bytes
}
