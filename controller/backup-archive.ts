import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { extract, type Header, pack } from 'tar-stream'
import { errorText, isMooringError, MooringError } from '../shared/errors.ts'

/** First file of a backup; its content says what wrote it. */
const markName = 'mooring-backup.json'
const format = 1
const mostMark = 4096

/** What a backup is of: a controller with a folder of its own, or one whose state is in a cluster. */
export type BackupOf = 'folder' | 'cluster'

/** Says who made a backup, and when. */
export interface BackupMark {
  readonly of: BackupOf
  readonly version: string
  /** RFC 3339. */
  readonly time: string
}

/** One file of a backup. */
export type ArchiveEntry =
  | { readonly name: string; readonly content: string | Buffer }
  | { readonly name: string; readonly size: number; readonly stream: () => Readable }

/**
 * Writes an archive (tar, gzip): to a file, 0600, which is there whole or not at all, or into a stream. Throws
 * `CONFIG_INVALID` when the file exists.
 */
export async function writeArchive(
  out: string | Writable,
  mark: BackupMark,
  entries: AsyncIterable<ArchiveEntry>,
): Promise<void> {
  if (typeof out !== 'string') return fill(out, mark, entries)
  if ((await lstat(out).catch(() => undefined)) !== undefined) throw invalid(`${out} exists`)
  const temporary = `${out}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await fill(createWriteStream(temporary, { flags: 'wx', mode: 0o600, flush: true }), mark, entries)
    await rename(temporary, out)
    await syncFolder(dirname(out))
  } finally {
    await rm(temporary, { force: true })
  }
}

async function fill(out: Writable, mark: BackupMark, entries: AsyncIterable<ArchiveEntry>): Promise<void> {
  const archive = pack()
  const written = pipeline(archive, createGzip(), out)
  const fed = (async () => {
    archive.entry({ name: markName, mode: 0o600 }, JSON.stringify({ format, ...mark }))
    for await (const entry of entries) {
      const { name } = entry
      if ('content' in entry) archive.entry({ name, mode: 0o600 }, entry.content)
      else await pipeline(entry.stream(), archive.entry({ name, size: entry.size, mode: 0o600 }))
    }
    archive.finalize()
  })().catch((error: Error) => {
    archive.destroy(error)
    throw error
  })
  await Promise.all([written, fed])
}

/** What to do with the files of an archive. */
export interface ArchiveReader {
  readonly of: BackupOf
  /** For people: where the archive comes from. */
  readonly from: string
  /** Whether a file of that name and size may be in it. */
  readonly accepts: (name: string, size: number) => boolean
  readonly take: (name: string, content: AsyncIterable<Uint8Array>) => Promise<void>
}

/** Reads an archive; answers the names that it held. Throws `CONFIG_INVALID` for what is no backup of this kind. */
export async function readArchive(
  source: string | Readable,
  reader: ArchiveReader,
): Promise<ReadonlySet<string>> {
  const { from } = reader
  const entries = extract()
  const seen = new Set<string>()
  const consume = async () => {
    for await (const entry of entries) {
      const { name } = entry.header
      const content = entry as unknown as AsyncIterable<Uint8Array>
      accept(entry.header, seen, reader)
      if (name === markName) checkMark(await textOf(content), reader)
      else await reader.take(name, content)
      seen.add(name)
      entry.resume()
    }
  }
  try {
    const input = typeof source === 'string' ? createReadStream(source) : source
    await Promise.all([pipeline(input, createGunzip(), entries), consume()])
    return seen
  } catch (error) {
    if (isMooringError(error)) throw error
    throw invalid(`${from} cannot be read as a backup: ${errorText(error)}`, error)
  }
}

function accept({ name, type, size = 0 }: Header, seen: ReadonlySet<string>, reader: ArchiveReader): void {
  const parts = name.split('/')
  const known = name === markName || reader.accepts(name, size)
  if (seen.size === 0 && name !== markName) throw invalid('this is no backup of a controller')
  if (type !== 'file' || !known || parts.includes('..') || parts.includes('')) {
    throw invalid(
      `the backup holds ${JSON.stringify(name.slice(0, 80))}, which is no part of one, or too large`,
    )
  }
  if (seen.has(name) || (name === markName && size > mostMark)) throw invalid(`${name} is in it twice`)
}

function checkMark(text: string, { of, from }: ArchiveReader): void {
  const mark = JSON.parse(text) as { format?: unknown; of?: unknown }
  if (mark.format !== format) throw invalid(`${from} is of another format than this release reads`)
  // Backups were of folders alone before they said it.
  const is = mark.of ?? 'folder'
  if (is !== of) throw invalid(`${from} is a backup of a ${is}, and this controller's state is in a ${of}`)
}

/** The whole of a small file as text. */
export async function textOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of content) parts.push(part)
  return Buffer.concat(parts).toString('utf8')
}

/** Makes what was renamed into a folder outlive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path)
  await handle.sync()
  await handle.close()
}

function invalid(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail, cause })
}
