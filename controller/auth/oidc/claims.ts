import type { Role } from '../../../shared/api/operator.ts'
import type { RolePrincipal } from '../policy.ts'

/** Who has a claim with this value, or with it among its values, gets the role. */
export interface ClaimGrant {
  readonly claim: string
  readonly value: string
  readonly role: Role
  readonly pools: readonly string[]
}

export interface ClaimRules {
  /** The claim that says how an operator is called. */
  readonly nameClaim: string
  /** The first that fits counts. */
  readonly grants: readonly ClaimGrant[]
}

/** The claims of a token that was verified. */
export type Claims = Readonly<Record<string, unknown>>

export type ClaimVerdict =
  | { readonly principal: RolePrincipal }
  | { readonly code: 'UNAUTHENTICATED' | 'FORBIDDEN'; readonly detail: string }

/** Longer names are nobody's, and would not fit where they are written down. */
const mostNameLength = 256

/** Who the operator is, and what the claims let it do. `expiresAt` is in Unix milliseconds. */
export function principalOfClaims(claims: Claims, rules: ClaimRules, expiresAt: number): ClaimVerdict {
  const { nameClaim, grants } = rules
  const name = claimOf(claims, nameClaim)
  if (
    typeof name !== 'string' ||
    name === '' ||
    name.length > mostNameLength ||
    /[\p{Cc}\p{Cf}]/u.test(name)
  ) {
    return { code: 'UNAUTHENTICATED', detail: `the claim ${nameClaim} of the token is no name` }
  }
  // An address that nobody has verified may be anybody's (OpenID Connect Core 1.0, 5.7).
  const needsEmail = nameClaim === 'email' || grants.some(({ claim }) => claim === 'email')
  if (needsEmail && claims.email !== undefined && claims.email_verified === false) {
    return { code: 'UNAUTHENTICATED', detail: 'the issuer has not verified the email address' }
  }
  const grant = grants.find(({ claim, value }) => holds(claimOf(claims, claim), value))
  if (grant === undefined) {
    return { code: 'FORBIDDEN', detail: `no grant of operators.oidc.grants fits the token of ${name}` }
  }
  const { role, pools } = grant
  return { principal: { by: 'oidc', name: `oidc:${name}`, role, pools, expiresAt } }
}

/** The claim of that very name, or else the one inside of others that a path with dots leads to. */
function claimOf(claims: Claims, claim: string): unknown {
  if (Object.hasOwn(claims, claim)) return claims[claim]
  let found: unknown = claims
  for (const part of claim.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined
    found = (found as Claims)[part]
  }
  return found
}

function holds(claim: unknown, value: string): boolean {
  return Array.isArray(claim) ? claim.includes(value) : claim === value
}
