import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'

/** More than any package of a sidecar. */
const maxBytes = 512 * 1024 * 1024

/** Downloads a package whose digest is known. Throws `CONFIG_INVALID` and `ARTIFACT_DIGEST_MISMATCH`. */
export async function download(
  url: string,
  sha256: string | undefined,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  if (!/^https:\/\//.test(url)) throw wrong(`${url} is not https`)
  if (sha256 === undefined || !/^[\da-f]{64}$/.test(sha256))
    throw wrong('--url needs --sha256, 64 hex digits')
  const hash = createHash('sha256')
  let size = 0
  const measured = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      size += chunk.byteLength
      if (size > maxBytes) throw wrong(`${url} is larger than a sidecar's package is`)
      hash.update(chunk)
      yield chunk
    }
  }
  try {
    const response = await fetch(url, { signal, redirect: 'follow' })
    if (!response.ok || response.body === null) throw wrong(`${url} answers ${response.status}`)
    await pipeline(Readable.fromWeb(response.body), measured, createWriteStream(file, { flags: 'wx' }), {
      signal,
    })
  } catch (error) {
    throw isMooringError(error) || signal.aborted ? error : wrong(`${url}: ${errorText(error)}`, error)
  }
  const digest = hash.digest('hex')
  if (digest !== sha256)
    throw new MooringError('ARTIFACT_DIGEST_MISMATCH', { detail: `${url} is sha256:${digest}` })
}

function wrong(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail, cause })
}
