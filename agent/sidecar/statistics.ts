/** Where traffic of one kind comes in, as Envoy counts it at one moment. */
export interface InboundCount {
  /** Requests that are being answered; a gRPC stream or an upgraded connection counts as long as it is open. */
  readonly activeRequests: number
  /** Connections of other protocols than HTTP that are open. */
  readonly activeConnections: number
  /** Requests and connections of both kinds since Envoy started. Falls when Envoy started anew. */
  readonly arrived: number
}

/**
 * Envoy's text statistics as names and values. Histograms and texts are left out: only `name: number` counts
 * (envoy source/server/admin/stats_render.cc).
 */
export function parseStatistics(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf(': ')
    if (at <= 0) continue
    const digits = line.slice(at + 2).trim()
    if (/^\d{1,15}$/.test(digits)) values.set(line.slice(0, at), Number(digits))
  }
  return values
}

/**
 * What is open and what has arrived on the inbound side. Names are Istio's (istio
 * pilot/pkg/networking/core/listener_inbound.go): `http.inbound_<address>_<port>;` for HTTP,
 * `tcp.inbound|<port>||` for all else, and `InboundPassthroughCluster` for ports that nobody declared. An idle
 * HTTP connection in a peer's pool is neither a request nor a connection here.
 */
export function inboundCount(values: ReadonlyMap<string, number>): InboundCount {
  let activeRequests = 0
  let activeConnections = 0
  let arrived = 0
  for (const [name, value] of values) {
    if (/^http\.(inbound_|InboundPassthrough)/.test(name)) {
      if (name.endsWith('.downstream_rq_active')) activeRequests += value
      if (name.endsWith('.downstream_rq_total')) arrived += value
    } else if (/^tcp\.(inbound\||InboundPassthrough).*\.downstream_cx_total$/.test(name)) {
      arrived += value
      activeConnections += Math.min(value, openUpstream(values, name))
    }
  }
  return { activeRequests, activeConnections, arrived }
}

/**
 * Open connections of a TCP chain: Envoy counts those towards the application. Undeclared ports share one
 * cluster for all protocols, where idle HTTP connections count too: there the number is an upper bound.
 */
function openUpstream(values: ReadonlyMap<string, number>, tcpTotal: string): number {
  const cluster = tcpTotal.slice('tcp.'.length, -'.downstream_cx_total'.length).replace(/;$/, '')
  const name = (suffix: string) => `cluster.${cluster}${suffix}.upstream_cx_active`
  return values.get(name(';')) ?? values.get(name('')) ?? 0
}

/** Asks Envoy for what `inboundCount` reads, and no more. */
export const inboundFilter =
  '^(http|tcp|cluster)\\.(inbound|InboundPassthrough).*\\.(downstream_rq_active|downstream_rq_total|downstream_cx_total|upstream_cx_active)$'
