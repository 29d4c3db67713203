/** The URI in an operator's certificate; no agent's and no workload's begins like it. */
export function operatorUri(trustDomain: string, name: string): string {
  return `spiffe://${trustDomain}/mooring/operator/${name}`
}

/** The operator that a certificate's subjectAltName names, as `node:tls` prints it; undefined for anything else. */
export function operatorOfSubjectAltName(
  trustDomain: string,
  subjectAltName: string | undefined,
): string | undefined {
  const prefix = `URI:${operatorUri(trustDomain, '')}`
  if (subjectAltName === undefined || !subjectAltName.startsWith(prefix)) return undefined
  const name = subjectAltName.slice(prefix.length)
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name) ? name : undefined
}
