/**
 * Counters that Envoy must keep so that a drain can be measured; by default Istio keeps almost none (istio
 * pkg/bootstrap/config.go). Inbound ones only: they grow with the VM's ports, not with the mesh's services.
 */
const inclusionRegexps = [
  '^http\\.(inbound_|InboundPassthrough).*\\.(downstream_rq_active|downstream_rq_total)$',
  '^tcp\\.(inbound\\||InboundPassthrough).*\\.downstream_cx_total$',
  '^cluster\\.(inbound\\||InboundPassthrough).*\\.upstream_cx_active$',
] as const

/** ProxyConfig's `proxyStatsMatcher`: those, and what the mesh wants kept already. */
export function keptStatistics(matcher: unknown): Record<string, unknown> {
  const own = typeof matcher === 'object' && matcher !== null ? matcher : {}
  const regexps = 'inclusionRegexps' in own && Array.isArray(own.inclusionRegexps) ? own.inclusionRegexps : []
  return { ...own, inclusionRegexps: [...regexps, ...inclusionRegexps] }
}
