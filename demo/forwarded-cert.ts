/** Who called and who was called, as the server's Envoy says it (its header `x-forwarded-client-cert`). */
export interface Parties {
  readonly caller: string | null
  readonly server: string | null
}

/** Reads the header: `By=<server>;Hash=…;Subject="…";URI=<caller>`. */
export function parseForwardedCert(header: string | null): Parties {
  const field = (name: string) => new RegExp(`(?:^|[;,])${name}=([^;,]+)`).exec(header ?? '')?.[1] ?? null
  return { caller: field('URI'), server: field('By') }
}
