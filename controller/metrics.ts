import { Counter, Gauge, Histogram, Registry } from 'prom-client'

interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  readonly buckets?: readonly number[]
}

const fast = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Every metric of the controller. Labels have few values: never an id, an address or a raw path. */
export const metricCatalogue = {
  mooring_http_requests_total: counter('Requests answered', ['method', 'route', 'status']),
  mooring_http_request_seconds: histogram('Time to answer a request', ['method', 'route'], fast),
  mooring_http_refused_total: counter('Requests refused before their route, by code', ['code']),
  mooring_joins_total: counter('Join decisions: `admitted`, or the code of the refusal', [
    'method',
    'result',
  ]),
  mooring_join_seconds: histogram('Time of a whole join, without waiting for a place', ['method'], fast),
  mooring_joins_waiting: gauge('Joins that wait for a place', []),
  mooring_clones_total: counter('Machines that showed the identity of a live VM', []),
  mooring_evictions_total: counter('Entries removed because another VM came to their address', []),
  mooring_operator_denied_total: counter('Operator requests refused, by code', ['code']),
  mooring_vms: gauge('VMs by pool and phase', ['pool', 'phase']),
  mooring_streams: gauge('Open streams of agents', []),
  mooring_stream_messages_total: counter('Messages from agents', ['kind']),
  mooring_transitions_total: counter('Changes of phase', ['from', 'to']),
  mooring_vanished_total: counter('VMs not heard from in time', ['pool']),
  mooring_closing_held: gauge('1 while a mass loss is not believed and closing is held', []),
  mooring_reconciles_total: counter('Reconciliations', ['result']),
  mooring_reconcile_seconds: histogram('Time of one reconciliation', [], fast),
  mooring_queue_depth: gauge('Keys that wait for reconciliation', []),
  mooring_drains_total: counter('Drains that ended, by result', ['result']),
  mooring_rollouts_halted_total: counter('VMs that did not get ready with another sidecar version', ['pool']),
  mooring_rollout_pending: gauge('VMs that do not have the offered sidecar yet', ['pool']),
  mooring_store_seconds: histogram('Time of one commit to the store', [], fast),
  mooring_audit_records_total: counter('Audit records written', ['outcome']),
  mooring_mesh_part_ok: gauge('1 while a part of the mesh is well', ['part']),
  mooring_certificates_total: counter('Certificates signed', ['kind']),
} as const satisfies Record<string, MetricEntry>

type Catalogue = typeof metricCatalogue
export type MetricName = keyof Catalogue
type NamesOf<T extends MetricEntry['type']> = {
  [N in MetricName]: Catalogue[N]['type'] extends T ? N : never
}[MetricName]
type Labels<N extends MetricName> = Readonly<Record<Catalogue[N]['labels'][number], string>>

/** The controller's figures. */
export interface Metrics {
  count<N extends NamesOf<'counter'>>(name: N, labels: Labels<N>, by?: number): void
  set<N extends NamesOf<'gauge'>>(name: N, labels: Labels<N>, value: number): void
  observe<N extends NamesOf<'histogram'>>(name: N, labels: Labels<N>, value: number): void
  /** Called before each reading, to set gauges that are cheaper to count than to keep. */
  onRead(fill: () => void | Promise<void>): void
  /** Forgets all values of a gauge, before it is filled anew. */
  reset(name: NamesOf<'gauge'>): void
  /** The Prometheus text format, and its content type. */
  read(): Promise<{ readonly type: string; readonly text: string }>
}

/** The one place that knows the metrics library. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, entry] of Object.entries(metricCatalogue) as [MetricName, MetricEntry][]) {
    const options = { name, help: entry.help, labelNames: [...entry.labels], registers: [registry] }
    if (entry.type === 'counter') counters.set(name, new Counter(options))
    else if (entry.type === 'gauge') gauges.set(name, new Gauge(options))
    else histograms.set(name, new Histogram({ ...options, buckets: [...(entry.buckets ?? fast)] }))
  }
  const fills: (() => void | Promise<void>)[] = []
  return {
    count: (name, labels, by = 1) => counters.get(name)?.inc({ ...labels }, by),
    set: (name, labels, value) => gauges.get(name)?.set({ ...labels }, value),
    observe: (name, labels, value) => histograms.get(name)?.observe({ ...labels }, value),
    onRead: (fill) => void fills.push(fill),
    reset: (name) => gauges.get(name)?.reset(),
    async read() {
      for (const fill of fills) await fill()
      return { type: registry.contentType, text: await registry.metrics() }
    },
  }
}

function counter<const L extends readonly string[]>(help: string, labels: L) {
  return { type: 'counter', help, labels } as const
}

function gauge<const L extends readonly string[]>(help: string, labels: L) {
  return { type: 'gauge', help, labels } as const
}

function histogram<const L extends readonly string[]>(help: string, labels: L, buckets: readonly number[]) {
  return { type: 'histogram', help, labels, buckets } as const
}
