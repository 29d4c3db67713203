import type { DatabaseSync } from 'node:sqlite'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { inTransaction } from './database.ts'
import type { Kind, Kinds, ResourceStore, Stored, Write } from './resource-store.ts'

export interface SqliteStoreDeps {
  readonly database: DatabaseSync
  readonly log: Log
  readonly timing?: {
    /** Milliseconds. */
    readonly now: () => number
    /** Told how long each commit took, in seconds. */
    readonly took: (seconds: number) => void
  }
}

interface Row {
  readonly kind: string
  readonly name: string
  readonly version: number
  readonly json: string
}

type Cache = Map<Kind, Map<string, Stored>>

/**
 * The store of the standalone mode. Everything is kept parsed in memory too, since a join looks at all VMs;
 * `data_version` tells when another process (`mooring-controller enrol`) wrote the file.
 */
export function createSqliteStore(deps: SqliteStoreDeps): ResourceStore {
  const { database, log, timing } = deps
  const all = database.prepare('SELECT kind, name, version, json FROM resource')
  const one = database.prepare('SELECT version FROM resource WHERE kind = ? AND name = ?')
  const put = database.prepare(
    `INSERT INTO resource (kind, name, version, json) VALUES (?, ?, ?, ?)
     ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, json = excluded.json`,
  )
  const remove = database.prepare('DELETE FROM resource WHERE kind = ? AND name = ?')
  const count = database.prepare('UPDATE version_counter SET last = last + 1 RETURNING last')
  const dataVersion = database.prepare('PRAGMA data_version')
  const listeners = new Set<(kind: Kind, name: string) => void>()

  const foreignWrites = () => Number(dataVersion.get()?.data_version)
  let seen = foreignWrites()
  let cache = load()

  function load(): Cache {
    const loaded: Cache = new Map()
    for (const row of all.all() as unknown as Row[]) remember(loaded, parsed(row))
    return loaded
  }

  function fresh(): Cache {
    const version = foreignWrites()
    if (version !== seen) {
      cache = load()
      seen = version
    }
    return cache
  }

  function check(write: Write, kind: Kind): void {
    const found = one.get(kind, write.name)?.version
    const wanted = write.version
    if ('remove' in write) {
      // What is gone already is what the writer wanted.
      if (found === undefined || wanted === undefined || String(found) === wanted) return
    } else if (wanted === undefined ? found === undefined : String(found) === wanted) return
    throw new MooringError('CONFLICT', { detail: `${kind}/${write.name}` })
  }

  function write(write: Write): () => void {
    if ('remove' in write) {
      check(write, write.remove)
      remove.run(write.remove, write.name)
      return () => cache.get(write.remove)?.delete(write.name)
    }
    check(write, write.put)
    const version = Number(count.get()?.last)
    const json = JSON.stringify(write.value)
    put.run(write.put, write.name, version, json)
    const stored = parsed({ kind: write.put, name: write.name, version, json })
    return () => remember(cache, stored)
  }

  return {
    async get<K extends Kind>(kind: K, name: string) {
      return fresh().get(kind)?.get(name) as Stored<K> | undefined
    },
    async list<K extends Kind>(kind: K) {
      return [...(fresh().get(kind)?.values() ?? [])] as unknown as readonly Stored<K>[]
    },
    async commit(writes) {
      if (writes.length === 0) return
      fresh()
      const began = timing?.now() ?? 0
      const remembered = inTransaction(database, () => writes.map(write))
      timing?.took((timing.now() - began) / 1000)
      for (const apply of remembered) apply()
      for (const write of writes) {
        for (const listener of listeners) {
          try {
            listener('put' in write ? write.put : write.remove, write.name)
          } catch (error) {
            log.error('a listener of the store failed', { error: errorText(error) })
          }
        }
      }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      listeners.clear()
      if (database.isOpen) database.close()
    },
  }
}

function remember(cache: Cache, stored: Stored): void {
  const names = cache.get(stored.kind) ?? new Map<string, Stored>()
  names.set(stored.name, stored)
  cache.set(stored.kind, names)
}

function parsed(row: Row): Stored {
  try {
    const value = frozen(JSON.parse(row.json) as Kinds[Kind])
    return { kind: row.kind as Kind, name: row.name, version: String(row.version), value }
  } catch (error) {
    throw new MooringError('STORE_UNREADABLE', {
      detail: `${row.kind}/${row.name} holds no JSON`,
      cause: error,
    })
  }
}

/** Readers share one object: nobody may change it in place. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}
