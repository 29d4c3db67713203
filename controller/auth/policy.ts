import { type Role, roles } from '../../shared/api/operator.ts'
import type { ErrorCode } from '../../shared/errors.ts'

/**
 * Which pool a request is about, and so which grants cover it.
 *
 * - `none`: about no pool, or about the operator alone
 * - `all`: about the whole controller; only a grant of all pools covers it
 * - `listed`: about every pool; the answer holds what the grant covers
 * - the others name where the pool is found
 */
export type PoolRule = 'none' | 'all' | 'listed' | 'path' | 'body' | 'vm' | 'token'

/** Who may call a route. Every route has one; a route without it does not start. */
export type Access =
  | { readonly by: 'anyone' }
  | { readonly by: 'agent' }
  | { readonly by: 'operator'; readonly role: Role; readonly pool: PoolRule }

/** An operator whose credential was accepted. */
export interface Principal {
  readonly name: string
  readonly role: Role
  readonly pools: readonly string[]
  readonly createdAt: number
  readonly expiresAt: number
}

export type Verdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: ErrorCode; readonly detail?: string }

const yes: Verdict = { allowed: true }

/** Whether the operator's role is enough, before anything of the request is read. */
export function judgeRole(
  access: Extract<Access, { by: 'operator' }>,
  principal: Principal | undefined,
): Verdict {
  if (principal === undefined) return { allowed: false, code: 'UNAUTHENTICATED' }
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
export function judgePool(rule: PoolRule, principal: Principal, pool: string | undefined): Verdict {
  if (rule === 'none' || rule === 'all' || rule === 'listed') return yes
  if (pool !== undefined && covers(principal, pool)) return yes
  if (rule === 'vm' || rule === 'token') return { allowed: false, code: 'NOT_FOUND' }
  return { allowed: false, code: 'FORBIDDEN', detail: `it needs a grant for pool ${pool ?? ''}` }
}

/** Whether the operator's grant covers this pool. */
export function covers(principal: Pick<Principal, 'pools'>, pool: string): boolean {
  return principal.pools.includes('*') || principal.pools.includes(pool)
}
