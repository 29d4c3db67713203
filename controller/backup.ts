import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chown, lstat, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../shared/clock.ts'
import { errorText, MooringError } from '../shared/errors.ts'
import { type ArchiveEntry, readArchive, syncFolder, writeArchive } from './backup-archive.ts'
import { openDatabase } from './store/database.ts'
import { takeProcessLock } from './store/process-lock.ts'

const databaseName = 'controller.sqlite'
/** What a controller cannot make again, below its data folder; all else follows from it. */
const kept = ['pki', 'mesh/ca', 'mesh/issuer-key.pem'] as const
/** No file of a backup but the database is larger. */
const maxKeyBytes = 1024 * 1024

export interface BackupDeps {
  readonly dataDir: string
  readonly clock: Clock
  readonly version: string
}

/**
 * Writes database and keys into one file (tar, gzip, mode 0600), while the controller runs or not: SQLite copies the
 * database as of one moment. Throws `CONFIG_INVALID` when there is nothing to back up or the file exists.
 */
export async function backUp(out: string | Writable, { dataDir, clock, version }: BackupDeps): Promise<void> {
  const source = join(dataDir, databaseName)
  await stat(source).catch((cause: unknown) => {
    throw invalid(`there is no ${source} to back up`, cause)
  })
  const copy = join(dataDir, `.backup-${randomBytes(6).toString('hex')}.sqlite`)
  async function* entries(): AsyncGenerator<ArchiveEntry> {
    for (const file of await keptFiles(dataDir)) {
      yield { name: file, content: await readFile(join(dataDir, file)) }
    }
    yield { name: databaseName, size: (await stat(copy)).size, stream: () => createReadStream(copy) }
  }
  try {
    copyDatabase(source, copy)
    const mark = { of: 'folder', version, time: new Date(clock.now()).toISOString() } as const
    await writeArchive(out, mark, entries())
  } finally {
    await rm(copy, { force: true })
  }
}

/**
 * Puts a backup where the controller's data are; the controller must not run. What is there already is refused
 * without `force`, and with it set aside in the returned folder, never deleted. Throws `CONFIG_INVALID` and
 * `STORE_UNREADABLE`.
 */
export async function restore(
  file: string | Readable,
  { dataDir, force }: { readonly dataDir: string; readonly force: boolean },
): Promise<{ readonly setAside?: string }> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const owner = await stat(dataDir)
  const lock = takeProcessLock(join(dataDir, 'controller.lock'))
  const id = randomBytes(6).toString('hex')
  const unpacked = join(dataDir, `.restore-${id}`)
  try {
    const present = await presentIn(dataDir)
    if (present.length > 0 && !force) {
      throw invalid(`${dataDir} holds ${present.join(', ')}; --force sets them aside first`)
    }
    await unpack(file, unpacked)
    // Whole, and of a release that this one can read.
    openDatabase({ file: join(unpacked, databaseName) }).close()
    const aside = join(dataDir, `before-restore-${id}`)
    for (const name of present) await move(join(dataDir, name), join(aside, name))
    for (const name of await presentIn(unpacked)) await move(join(unpacked, name), join(dataDir, name))
    // Made of what was there before; the next start makes them anew.
    for (const name of ['mesh/objects', 'mesh/run'])
      await rm(join(dataDir, name), { recursive: true, force: true })
    await own(dataDir, owner)
    await syncFolder(dataDir)
    return present.length > 0 ? { setAside: aside } : {}
  } finally {
    await rm(unpacked, { recursive: true, force: true })
    lock.release()
  }
}

function copyDatabase(source: string, target: string): void {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(source, { readOnly: true })
    database.prepare('PRAGMA busy_timeout = 5000').get()
    database.prepare('VACUUM INTO ?').run(target)
  } catch (error) {
    throw new MooringError('STORE_UNREADABLE', { detail: `${source}: ${errorText(error)}`, cause: error })
  } finally {
    database?.close()
  }
}

/** Every file below the kept places, relative to the data folder. */
async function keptFiles(dataDir: string): Promise<readonly string[]> {
  const files: string[] = []
  for (const name of kept) {
    const path = join(dataDir, name)
    const info = await lstat(path).catch(() => undefined)
    if (info?.isFile()) files.push(name)
    if (!info?.isDirectory()) continue
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    const inner = entries.filter((entry) => entry.isFile())
    files.push(...inner.map((entry) => relative(dataDir, join(entry.parentPath, entry.name))))
  }
  return files.filter((file) => !/(^|\/)\./.test(file)).toSorted()
}

/** What a restored folder would replace. */
async function presentIn(dataDir: string): Promise<readonly string[]> {
  const names = [databaseName, `${databaseName}-wal`, `${databaseName}-shm`, ...kept]
  const found = await Promise.all(names.map((name) => lstat(join(dataDir, name)).catch(() => undefined)))
  return names.filter((_, index) => found[index] !== undefined)
}

async function unpack(source: string | Readable, folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 })
  const from = typeof source === 'string' ? source : 'it'
  const seen = await readArchive(source, {
    of: 'folder',
    from,
    accepts: (name, size) =>
      name === databaseName ||
      (size <= maxKeyBytes && kept.some((one) => name === one || name.startsWith(`${one}/`))),
    async take(name, content) {
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await pipeline(content, createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }))
    },
  })
  if (!seen.has(databaseName)) throw invalid(`${from} ends before the database`)
  // SQLite takes a file of a few bytes for an empty database.
  const head = (await readFile(join(folder, databaseName))).toString('latin1', 0, 16)
  if (head !== 'SQLite format 3\0') throw invalid(`${from} holds no database`)
}

async function move(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  await rename(from, to)
}

/** Gives what root restored to whom the data folder belongs to. */
async function own(
  folder: string,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): Promise<void> {
  if ((await stat(join(folder, databaseName))).uid === uid) return
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chown(join(entry.parentPath, entry.name), uid, gid)
  }
}

function invalid(detail: string, cause?: unknown): MooringError {
  return new MooringError('CONFIG_INVALID', { detail, cause })
}
