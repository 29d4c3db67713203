import type { Static } from 'typebox'
import type { AuditQuery, AuditRecord } from '../shared/api/operator.ts'
import type { Clock } from '../shared/clock.ts'
import type { Metrics } from './metrics.ts'

export type AuditRecordValue = Static<typeof AuditRecord>

/** What happened; time and number are added. `detail` never holds a secret. */
export type AuditEntry = Omit<AuditRecordValue, 'seq' | 'time'>

/**
 * Where records are kept: append-only, oldest dropped first. Two ship: a table of the controller's own database, and
 * lines with pages in a cluster.
 */
export interface AuditSink {
  /** Done when it returns, or resolves. */
  append(records: readonly Omit<AuditRecordValue, 'seq'>[], keep: number): void | Promise<void>
  query(query: Static<typeof AuditQuery>): readonly AuditRecordValue[] | Promise<readonly AuditRecordValue[]>
}

/** The record of every join decision and of everything that operators did or were refused. */
export interface Audit {
  /** Resolves when the record is on disk, or its line has left this process. */
  record(entry: AuditEntry): Promise<void>
  /** Oldest first: those after `after`, or the newest when it is absent. */
  query(query: Static<typeof AuditQuery>): Promise<readonly AuditRecordValue[]>
}

export interface AuditDeps {
  readonly sink: AuditSink
  readonly clock: Clock
  /** How many records are kept. @defaultValue 1,000,000 */
  readonly keep?: number
  readonly metrics?: Metrics
}

interface Pending {
  readonly record: Omit<AuditRecordValue, 'seq'>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Records that come in the same turn share one disk write: in a storm of joins that is most of them. */
export function createAudit(deps: AuditDeps): Audit {
  const { sink, clock, keep = 1_000_000, metrics } = deps
  let pending: Pending[] = []

  async function flush(): Promise<void> {
    const batch = pending
    pending = []
    try {
      await sink.append(
        batch.map((p) => p.record),
        keep,
      )
      for (const p of batch) {
        metrics?.count('mooring_audit_records_total', { outcome: p.record.outcome })
        p.resolve()
      }
    } catch (error) {
      for (const p of batch) p.reject(error)
    }
  }

  return {
    record(entry) {
      return new Promise((resolve, reject) => {
        if (pending.length === 0) setImmediate(flush)
        pending.push({ record: { ...bounded(entry), time: clock.now() }, resolve, reject })
      })
    },
    async query(query) {
      return sink.query(query)
    },
  }
}

function bounded(entry: AuditEntry): AuditEntry {
  if (entry.detail === undefined || entry.detail.length <= 1024) return entry
  return { ...entry, detail: `${entry.detail.slice(0, 1023)}…` }
}
