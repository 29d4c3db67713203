import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import { inTransaction } from './database.ts'

/** Whether what must survive can be written now: the database, and files beside it. */
export interface WriteCheck {
  look(): Promise<readonly { readonly part: string; readonly ok: boolean; readonly detail: string }[]>
}

export interface WriteCheckDeps {
  readonly database: DatabaseSync
  /** A folder on the file system on which the mesh's objects are; istiod does not read it. */
  readonly folder: string
  readonly clock: Clock
}

/** Anybody may ask, so a finding holds for a while; no probe comes more often. */
const holdsMs = 2_000
/** More than the largest object that is written at a time, so that a full disk is seen before one fails. */
const trialBytes = 512 * 1024

/** Finds out by writing: free bytes say nothing of quotas, inodes and read-only mounts. */
export function createWriteCheck(deps: WriteCheckDeps): WriteCheck {
  const { database, folder, clock } = deps
  const touch = database.prepare('UPDATE version_counter SET last = last')
  let held: { readonly at: number; readonly parts: ReturnType<WriteCheck['look']> } | undefined

  async function look() {
    const trial = join(folder, `.${randomBytes(8).toString('hex')}.tmp`)
    const [store, disk] = [
      await fault(async () => inTransaction(database, () => touch.run())),
      await fault(() => writeFile(trial, Buffer.alloc(trialBytes), { mode: 0o600, flag: 'wx' })),
    ]
    await rm(trial, { force: true }).catch(() => {})
    return [
      { part: 'store', ok: store === undefined, detail: store ?? 'writable' },
      { part: 'disk', ok: disk === undefined, detail: disk ?? 'writable' },
    ]
  }

  return {
    look() {
      const now = clock.now()
      if (held === undefined || now - held.at >= holdsMs) held = { at: now, parts: look() }
      return held.parts
    },
  }
}

async function fault(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return errorText(error)
  }
}
