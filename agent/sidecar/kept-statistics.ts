/**
 * Counters that Envoy must keep so that a drain can be measured; by default Istio keeps almost none (istio
 * pkg/bootstrap/config.go). Inbound ones only: they grow with ports, not with services.
 */
const inclusionRegexps = [
  '^http\\.(inbound_|Inbound).*\\.(downstream_rq_total|downstream_rq_active)$',
  '^tcp\\.(inbound\\||Inbound).*\\.(downstream_cx_total)$',
  '^cluster\\.(inbound\\||Inbound).*\\.(upstream_cx_active|upstream_rq_active|upstream_rq_total|upstream_cx_total)$',
  '^listener\\.0\\.0\\.0\\.0_15006\\..*',
] as const

/** ProxyConfig's `proxyStatsMatcher` with those added to what the mesh wants kept already. */
export function keptStatistics(matcher: unknown): Record<string, unknown> {
  const own = typeof matcher === 'object' && matcher !== null ? matcher : {}
  const regexps = 'inclusionRegexps' in own && Array.isArray(own.inclusionRegexps) ? own.inclusionRegexps : []
  return { ...own, inclusionRegexps: [...regexps, ...inclusionRegexps] }
}
