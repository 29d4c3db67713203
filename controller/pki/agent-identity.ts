/** The URI in an agent's certificate. It names a VM, not a workload: peers in the mesh never see it. */
export function agentUri(trustDomain: string, vm: string): string {
  return `spiffe://${trustDomain}/mooring/vm/${vm}`
}

/** The VM that a certificate's subjectAltName names, as `node:tls` prints it; undefined for anything else. */
export function vmOfSubjectAltName(
  trustDomain: string,
  subjectAltName: string | undefined,
): string | undefined {
  const prefix = `URI:${agentUri(trustDomain, '')}`
  if (subjectAltName === undefined || !subjectAltName.startsWith(prefix)) return undefined
  const vm = subjectAltName.slice(prefix.length)
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(vm) ? vm : undefined
}
