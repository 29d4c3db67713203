import { randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type AuditQuery, AuditRecord } from '../../shared/api/operator.ts'
import { createBackoff } from '../../shared/backoff.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, isMooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { AuditRecordValue, AuditSink } from '../audit.ts'
import type { Client } from '../kubernetes/client.ts'
import type { KubernetesObject, ResourceType } from '../kubernetes/resource.ts'
import type { LineOutput } from '../line-output.ts'
import { managed } from '../mesh/identity-labels.ts'

export interface AuditPagesDeps {
  readonly client: Client
  /** The controller's own. */
  readonly namespace: string
  readonly release: string
  /** Where the record goes, for good: what collects the logs of the cluster keeps it. */
  readonly line: LineOutput
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** Of all replicas together. @defaultValue 20,000 */
  readonly mostRecords?: number
}

export interface AuditPages extends AuditSink {
  /** Writes what waits into the cluster, again and again, until aborted; then once more. */
  run(signal: AbortSignal): Promise<void>
}

interface PageObject extends KubernetesObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
}

const secrets: ResourceType = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret' }
/** On pages: their installation. */
const auditLabel = 'mesh.mooring/audit'
const countAnnotation = 'mesh.mooring/records'
const dataKey = 'records'
const pageSize = 500
const mostPages = 200
/** Records that wait while the API server is away; their lines are written already. */
const mostWaiting = 10_000
const everyMs = 1_000
/** Who reads on after a number gets no record younger than this: that of another replica may still come. */
const settledMs = 3_000
const mostUnpacked = 16 * 1024 * 1024
const Records = Type.Array(AuditRecord)

/**
 * Audit of several replicas: each record is a line on standard output before the work goes on, which is the lasting
 * record; the newest of all replicas are in Secrets beside it, so that they can be asked for at any replica. A replica
 * writes its own pages alone, about once a second.
 */
export function createAuditPages(deps: AuditPagesDeps): AuditPages {
  const { client, namespace, release, line, clock, log, random, mostRecords = 20_000 } = deps
  let waiting: AuditRecordValue[] = []
  let page: { readonly object: PageObject; readonly records: readonly AuditRecordValue[] } | undefined
  let last = 0

  /** Grows over all replicas as their clocks do; a tie is as good as an order. */
  function numbered(record: Omit<AuditRecordValue, 'seq'>): AuditRecordValue {
    last = Math.max(last + 1, record.time * 1000)
    return { ...record, seq: last }
  }

  async function flush(): Promise<void> {
    if (waiting.length === 0) return
    if (page !== undefined && page.records.length >= pageSize) page = undefined
    const records = [...(page?.records ?? []), ...waiting].slice(0, pageSize)
    const added = records.length - (page?.records.length ?? 0)
    const body = {
      type: 'mesh.mooring/audit',
      data: { [dataKey]: gzipSync(JSON.stringify(records)).toString('base64') },
    }
    const annotations = { [countAnnotation]: String(records.length) }
    if (page === undefined) {
      // In the order of their names as of their making.
      const name = `${release}-audit-${clock.now().toString(36).padStart(9, '0')}-${randomBytes(4).toString('hex')}`
      const labels = { ...managed, [auditLabel]: release }
      const object = { metadata: { namespace, name, labels, annotations }, ...body }
      page = { object: await client.create<PageObject>(secrets, object), records }
      waiting = waiting.slice(added)
      await prune()
    } else {
      const { metadata } = page.object
      const object = { metadata: { ...metadata, annotations }, ...body }
      page = { object: await client.replace<PageObject>(secrets, object), records }
      waiting = waiting.slice(added)
    }
  }

  async function pages(): Promise<readonly PageObject[]> {
    const { items } = await client.list<PageObject>(secrets, {
      namespace,
      labels: `${auditLabel}=${release}`,
    })
    return items.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  }

  async function prune(): Promise<void> {
    const all = await pages()
    let total = all.reduce((sum, object) => sum + countOf(object), 0)
    for (const [index, object] of all.entries()) {
      if (total <= mostRecords && all.length - index <= mostPages) return
      total -= countOf(object)
      await client.remove(secrets, { namespace, name: object.metadata.name })
    }
  }

  function recordsOf({ metadata, data }: PageObject): readonly AuditRecordValue[] {
    try {
      const packed = Buffer.from(data?.[dataKey] ?? '', 'base64')
      const records: unknown = JSON.parse(
        gunzipSync(packed, { maxOutputLength: mostUnpacked }).toString('utf8'),
      )
      if (Value.Check(Records, records)) return records
    } catch {
      // Said below, as for one that holds something else.
    }
    log.error('a page of the audit cannot be read and is passed over', { secret: metadata.name })
    return []
  }

  return {
    async append(records) {
      const made = records.map(numbered)
      await Promise.all(made.map((record) => line(JSON.stringify({ audit: record }))))
      waiting.push(...made)
      if (waiting.length > mostWaiting) waiting = waiting.slice(-mostWaiting)
    },
    async query({ after, limit = 100, target }: Static<typeof AuditQuery>) {
      const kept = (await pages()).flatMap(recordsOf)
      const known = new Map([...kept, ...waiting].map((record) => [`${record.seq} ${record.actor}`, record]))
      const all = [...known.values()]
        .filter((record) => target === undefined || record.target === target)
        .sort((a, b) => a.seq - b.seq)
      if (after === undefined) return all.slice(-limit)
      const settled = all.filter(({ seq, time }) => seq > after && time <= clock.now() - settledMs)
      // Never in the middle of a tie: who reads on after a number would miss the rest of it.
      const end = settled[limit - 1]?.seq ?? Number.POSITIVE_INFINITY
      return settled.filter(({ seq }) => seq <= end)
    },
    async run(signal) {
      const backoff = createBackoff({ baseMs: 2 * everyMs, maxMs: 60_000, floorMs: everyMs, random })
      const tryOnce = async (): Promise<boolean> => {
        try {
          while (waiting.length > 0) await flush()
          return true
        } catch (error) {
          // Somebody changed or deleted the page: its records are their business, the next ones get another.
          if (isMooringError(error, 'CONFLICT') || isMooringError(error, 'NOT_FOUND')) page = undefined
          log.warn('audit records wait for the API server; their lines are written', {
            error: errorText(error),
            records: waiting.length,
          })
          return false
        }
      }
      for (let pause = everyMs; !signal.aborted; ) {
        await clock.sleep(pause, signal).catch(() => {})
        const isDone = await tryOnce()
        if (isDone) backoff.reset()
        pause = isDone ? everyMs : backoff.next()
      }
      await tryOnce()
    },
  }
}

function countOf({ metadata }: PageObject): number {
  return Number(metadata.annotations?.[countAnnotation]) || 0
}
