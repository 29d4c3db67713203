import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MooringError } from '../../shared/errors.ts'
import { readConfinement } from './confinement.ts'
import { explainDenial, writeDenials } from './denial.ts'

export interface WriteOptions {
  readonly mode: number
  readonly uid?: number
  readonly gid?: number
}

/**
 * Puts `content` at `path` so that a reader, a crash or a power cut meets the old file or the new one, never
 * a half. The folder must exist. Throws `DISK_FULL` with the old file intact.
 */
export async function writeAtomic(
  path: string,
  content: string | Uint8Array,
  options: WriteOptions,
): Promise<void> {
  const temporary = temporaryName(path)
  try {
    // 0600 until owner and mode are set: a secret is never readable to others, not even for a moment.
    const file = await open(temporary, 'wx', 0o600)
    try {
      if (options.uid !== undefined || options.gid !== undefined) {
        await file.chown(options.uid ?? -1, options.gid ?? -1)
      }
      await file.chmod(options.mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw asStorageFault(error, dirname(path))
  }
}

/** Text of a file, or undefined when there is none; `CONFIG_INVALID` when it is longer than `max` bytes. */
export async function readBounded(path: string, max: number): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  try {
    // One byte more than allowed tells "too long" also for files without a size, as those in /proc.
    const buffer = Buffer.alloc(max + 1)
    let length = 0
    while (length <= max) {
      const { bytesRead } = await file.read(buffer, length, max + 1 - length)
      if (bytesRead === 0) return buffer.toString('utf8', 0, length)
      length += bytesRead
    }
    throw new MooringError('CONFIG_INVALID', { detail: `${path} is longer than ${max} bytes` })
  } finally {
    await file.close()
  }
}

/** Makes the names in `folder` last through a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Removes what a killed `writeAtomic` may have left in `folder`; call it when nobody writes there. */
export async function removeTemporaries(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    if (/^\..+\.[0-9a-f]{12}\.tmp$/.test(name)) await rm(join(folder, name), { force: true })
  }
}

/**
 * `DISK_FULL` for the errors of a full file system or quota, `STATE_UNWRITABLE` for a folder that may not be written,
 * with the security module that may be the cause; every other error as it is.
 */
export function asStorageFault(error: unknown, folder: string): unknown {
  if (hasErrno(error, 'ENOSPC', 'EDQUOT'))
    return new MooringError('DISK_FULL', { detail: folder, cause: error })
  const errno = writeDenials.find((one) => hasErrno(error, one))
  if (errno === undefined) return error
  const detail = `${folder}: ${explainDenial(errno, readConfinement())}`
  return new MooringError('STATE_UNWRITABLE', { detail, cause: error })
}

/** Whether `error` is a system error with one of the given names. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
}

/** Names in a folder; none where there is no such folder. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}
