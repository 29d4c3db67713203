import { type Role, roles } from '../../shared/api/operator.ts'
import type { ErrorCode } from '../../shared/error-catalogue.ts'

/**
 * Which pool a request is about, and so which grants cover it.
 *
 * - `none`: about no pool, or about the operator alone
 * - `all`: about the whole controller; only a grant of all pools covers it
 * - `listed`: about every pool; the answer holds what the grant covers
 * - the others name where the pool is found
 */
export type PoolRule = 'none' | 'all' | 'listed' | 'path' | 'body' | 'vm' | 'token'

/** Who may call an operators' route. */
export interface OperatorAccess {
  readonly by: 'operator'
  readonly role: Role
  readonly pool: PoolRule
}

/** Who may call a route. Every route has one; a route without it does not start. */
export type Access = { readonly by: 'anyone' } | { readonly by: 'agent' } | OperatorAccess

/** An operator whose role and pools the controller knows: by a record of its own, or by the claims of a token. */
export interface RolePrincipal {
  readonly by: 'mooring' | 'oidc'
  /** `ada`, `oidc:ada@example.com`: records of the controller's own have no colon in their names. */
  readonly name: string
  readonly role: Role
  readonly pools: readonly string[]
  /** Absent where nobody made a record. */
  readonly createdAt?: number
  readonly expiresAt: number
}

/** A user of the cluster (authentication.k8s.io/v1, UserInfo). */
export interface ClusterUser {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** A user of the cluster; the cluster is asked about each request. */
export interface ClusterPrincipal {
  readonly by: 'kubernetes'
  /** `kubernetes:` and the user name. */
  readonly name: string
  readonly user: ClusterUser
  /** What the request that is under way may be about; nothing as long as it was not judged. */
  readonly pools: readonly string[]
  /** Absent where the token does not say it. */
  readonly expiresAt?: number
}

/** An operator whose credential was accepted. */
export type Principal = RolePrincipal | ClusterPrincipal

export type Verdict =
  /** `pools`: what the answer may be about, where that was found out only now. */
  | { readonly allowed: true; readonly pools?: readonly string[] }
  | { readonly allowed: false; readonly code: ErrorCode; readonly detail?: string }

const yes: Verdict = { allowed: true }

/** Whether the operator's role is enough, before anything of the request is read. */
export function judgeRole(access: OperatorAccess, principal: RolePrincipal): Verdict {
  if (roles.indexOf(principal.role) < roles.indexOf(access.role)) {
    return { allowed: false, code: 'FORBIDDEN', detail: `it needs the role ${access.role}` }
  }
  if (access.pool === 'all' && !principal.pools.includes('*')) {
    return { allowed: false, code: 'FORBIDDEN', detail: `it needs the role ${access.role} for all pools` }
  }
  return yes
}

/**
 * Whether the operator's grant covers the pool. What is found by an id answers as if it were not there: ids
 * of other pools are nobody's business.
 */
export function judgePool(rule: PoolRule, principal: RolePrincipal, pool: string | undefined): Verdict {
  if (rule === 'none' || rule === 'all' || rule === 'listed') return yes
  if (pool !== undefined && covers(principal, pool)) return yes
  if (rule === 'vm' || rule === 'token') return { allowed: false, code: 'NOT_FOUND' }
  return { allowed: false, code: 'FORBIDDEN', detail: `it needs a grant for pool ${pool ?? ''}` }
}

/** Whether the operator's grant covers this pool. */
export function covers(principal: Pick<Principal, 'pools'>, pool: string): boolean {
  return principal.pools.includes('*') || principal.pools.includes(pool)
}
