import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { errorText, isMooringError, MooringError } from '../../shared/errors.ts'

/**
 * The steps from an empty file to today's tables. A step that was released is never changed; a new one is
 * added at the end. `user_version` of the file counts the steps that it has had.
 */
const migrations: readonly string[] = [
  `CREATE TABLE resource (
     kind TEXT NOT NULL,
     name TEXT NOT NULL,
     version INTEGER NOT NULL,
     json TEXT NOT NULL,
     PRIMARY KEY (kind, name)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE version_counter (last INTEGER NOT NULL) STRICT;
   INSERT INTO version_counter VALUES (0);
   CREATE TABLE audit (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     time INTEGER NOT NULL,
     target TEXT NOT NULL,
     json TEXT NOT NULL
   ) STRICT;
   CREATE INDEX audit_target ON audit (target, seq);`,
]

export interface DatabaseOptions {
  /** Path of the file, or `:memory:`. */
  readonly file: string
}

/**
 * Opens the controller's database, checks that it is whole and brings its tables up to date. Throws
 * `STORE_UNREADABLE` and leaves a damaged file as it is: it may be the only copy.
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { file } = options
  const isNew = file === ':memory:' || !existsSync(file)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file)
    run(database, 'PRAGMA busy_timeout = 5000')
    if (!isNew) checkIntegrity(database, file)
    run(database, 'PRAGMA journal_mode = WAL')
    // FULL: a token's use that was answered must not come back after a power cut.
    run(database, 'PRAGMA synchronous = FULL')
    migrate(database, file)
    return database
  } catch (error) {
    database?.close()
    if (isMooringError(error)) throw error
    throw new MooringError('STORE_UNREADABLE', { detail: `${file}: ${errorText(error)}`, cause: error })
  }
}

/** Runs `work` in one transaction: all of it happens, or nothing. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  try {
    run(database, 'BEGIN IMMEDIATE')
    const result = work()
    run(database, 'COMMIT')
    return result
  } catch (error) {
    // After some failures (disk full among them) SQLite has rolled back by itself.
    if (database.isTransaction) run(database, 'ROLLBACK')
    if (isMooringError(error)) throw error
    throw new MooringError('UNAVAILABLE', {
      detail: `the database cannot be written: ${errorText(error)}`,
      cause: error,
    })
  }
}

function checkIntegrity(database: DatabaseSync, file: string): void {
  const answer = database.prepare('PRAGMA quick_check(1)').get()?.quick_check
  if (answer !== 'ok') throw new MooringError('STORE_UNREADABLE', { detail: `${file}: ${String(answer)}` })
}

function migrate(database: DatabaseSync, file: string): void {
  const version = () => Number(database.prepare('PRAGMA user_version').get()?.user_version)
  if (version() > migrations.length) {
    throw new MooringError('STORE_UNREADABLE', { detail: `${file} was written by a newer controller` })
  }
  inTransaction(database, () => {
    for (let step = version(); step < migrations.length; step += 1) {
      run(database, migrations[step] ?? '')
      run(database, `PRAGMA user_version = ${step + 1}`)
    }
  })
}

function run(database: DatabaseSync, sql: string): void {
  database.exec(sql)
}
