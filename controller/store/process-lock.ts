import { DatabaseSync } from 'node:sqlite'
import { errorText, MooringError } from '../../shared/errors.ts'

export interface ProcessLock {
  release(): void
}

/**
 * Takes the data folder for this process: two controllers on one folder would both write the mesh. It is a
 * lock of the operating system, taken through SQLite, so it ends with the process however that ends.
 */
export function takeProcessLock(file: string): ProcessLock {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file)
    database.prepare('PRAGMA locking_mode = EXCLUSIVE').get()
    database.prepare('BEGIN EXCLUSIVE').run()
  } catch (error) {
    database?.close()
    throw new MooringError('STORE_UNREADABLE', {
      detail: `another controller uses this data folder (${file}: ${errorText(error)})`,
      cause: error,
    })
  }
  const held = database
  return { release: () => held.close() }
}
