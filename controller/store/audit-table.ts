import type { DatabaseSync } from 'node:sqlite'
import type { AuditRecordValue, AuditSink } from '../audit.ts'
import { inTransaction } from './database.ts'

/** Audit records in the controller's own database. Numbers are never used twice, also after the oldest went. */
export function createAuditTable(deps: { readonly database: DatabaseSync }): AuditSink {
  const { database } = deps
  const insert = database.prepare('INSERT INTO audit (time, target, json) VALUES (?, ?, ?)')
  const drop = database.prepare('DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?')
  const after = database.prepare('SELECT seq, json FROM audit WHERE seq > ? ORDER BY seq LIMIT ?')
  const afterOf = database.prepare(
    'SELECT seq, json FROM audit WHERE target = ? AND seq > ? ORDER BY seq LIMIT ?',
  )
  const newest = database.prepare(
    'SELECT * FROM (SELECT seq, json FROM audit ORDER BY seq DESC LIMIT ?) ORDER BY seq',
  )
  const newestOf = database.prepare(
    'SELECT * FROM (SELECT seq, json FROM audit WHERE target = ? ORDER BY seq DESC LIMIT ?) ORDER BY seq',
  )
  return {
    append(records, keep) {
      inTransaction(database, () => {
        for (const record of records) insert.run(record.time, record.target, JSON.stringify(record))
        drop.run(keep)
      })
    },
    query({ after: seq, limit = 100, target }) {
      const rows =
        seq === undefined
          ? target === undefined
            ? newest.all(limit)
            : newestOf.all(target, limit)
          : target === undefined
            ? after.all(seq, limit)
            : afterOf.all(target, seq, limit)
      return rows.map((row) => ({
        ...JSON.parse(String(row.json)),
        seq: Number(row.seq),
      })) as AuditRecordValue[]
    },
  }
}
