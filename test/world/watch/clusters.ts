/** Endpoints to which an Envoy sends new requests: address → names of the clusters that have it. */
export type OpenEndpoints = ReadonlyMap<string, ReadonlySet<string>>

// One line of Envoy's admin answer to `/clusters`, for outbound clusters of Istio:
// outbound|8080||echo.mooring.internal::10.77.0.11:8080::health_flags::healthy
const line = /^(outbound\|.+?)::(\[[^\]]+\]:\d+|[\d.]+:\d+)::health_flags::(.*)$/gm

/** Reads the text of `/clusters`. An endpoint with any flag of bad health gets no new requests. */
export function parseClusters(text: string): OpenEndpoints {
  const open = new Map<string, Set<string>>()
  for (const [, cluster = '', endpoint = '', flags] of text.matchAll(line)) {
    if (flags !== 'healthy') continue
    const address = endpoint.slice(0, endpoint.lastIndexOf(':'))
    const clusters = open.get(address) ?? new Set()
    open.set(address, clusters.add(cluster))
  }
  return open
}

/** Addresses that came, and that went from every cluster. */
export function endpointChanges(
  before: OpenEndpoints,
  after: OpenEndpoints,
): { readonly opened: readonly string[]; readonly closed: readonly string[] } {
  return {
    opened: [...after.keys()].filter((address) => !before.has(address)),
    closed: [...before.keys()].filter((address) => !after.has(address)),
  }
}
