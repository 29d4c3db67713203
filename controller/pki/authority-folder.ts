import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errorText, MooringError } from '../../shared/errors.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import type { AuthorityKeep, KeptAuthority } from './authority-keep.ts'

/** Keys and certificates, 0600. */
export const authorityFiles = { current: 'authority.pem', before: 'authority-before.pem' } as const

/** An authority in files of its own; one process at a time. Errors: `STORE_UNREADABLE`. */
export function createAuthorityFolder(folder: string): AuthorityKeep {
  const [currentFile, beforeFile] = [
    join(folder, authorityFiles.current),
    join(folder, authorityFiles.before),
  ]

  async function read() {
    const [current, before] = [await textOf(currentFile), await textOf(beforeFile)]
    if (current === undefined) return undefined
    const kept = { current, ...(before !== undefined && { before }) }
    return { ...kept, version: versionOf(kept) }
  }

  return {
    place: currentFile,
    read,
    async write({ current, before }, over) {
      if ((await read())?.version !== over) throw new MooringError('CONFLICT', { detail: currentFile })
      // In this order: cut short in between, the authority is its own predecessor, which counts as none.
      if (before !== undefined) await writeAtomic(beforeFile, before, 0o600)
      await writeAtomic(currentFile, current, 0o600)
      if (before === undefined) await rm(beforeFile, { force: true })
    },
    async follow() {},
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MooringError('STORE_UNREADABLE', { detail: `${path}: ${errorText(error)}`, cause: error })
  }
}

function versionOf(kept: KeptAuthority): string {
  return createHash('sha256')
    .update(JSON.stringify([kept.current, kept.before]))
    .digest('hex')
}
