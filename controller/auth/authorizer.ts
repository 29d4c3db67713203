import type { ResourceStore } from '../store/resource-store.ts'
import {
  type ClusterPrincipal,
  judgePool,
  judgeRole,
  type OperatorAccess,
  type PoolRule,
  type Principal,
  type RolePrincipal,
  type Verdict,
} from './policy.ts'

/** A request, as far as it says what it is about. */
export interface Requested {
  /** `GET /v1/pools/:name` */
  readonly route: string
  readonly access: OperatorAccess
  readonly params: unknown
  readonly query: unknown
  /** Undefined before it was read. */
  readonly body: unknown
}

/** Decides what operators may do; one for those whose roles are known here, one for those of a cluster. */
export interface Authorizer<P> {
  /** Before anything of the request's body is read. */
  early(principal: P, requested: Requested): Promise<Verdict>
  /** When the request is read, and is known to fit its schema. */
  whole(principal: P, requested: Requested): Promise<Verdict>
}

/** Decides by the role and the pools of the operator. */
export function createRoleAuthorizer(deps: { readonly store: ResourceStore }): Authorizer<RolePrincipal> {
  return {
    early: async (principal, { access }) => judgeRole(access, principal),
    whole: async (principal, requested) =>
      judgePool(requested.access.pool, principal, await poolOf(deps.store, requested)),
  }
}

export interface AuthorizersDeps {
  readonly byRole: Authorizer<RolePrincipal>
  /** Where the controller serves a cluster. */
  readonly byCluster?: Authorizer<ClusterPrincipal> | undefined
}

/** Lets each operator be judged by who knows what it may do. */
export function createAuthorizer({ byRole, byCluster }: AuthorizersDeps): Authorizer<Principal> {
  const nobody: Verdict = { allowed: false, code: 'UNAUTHENTICATED' }
  return {
    early: async (principal, requested) =>
      principal.by === 'kubernetes'
        ? (byCluster?.early(principal, requested) ?? nobody)
        : byRole.early(principal, requested),
    whole: async (principal, requested) =>
      principal.by === 'kubernetes'
        ? (byCluster?.whole(principal, requested) ?? nobody)
        : byRole.whole(principal, requested),
  }
}

/** The pool that a request is about; undefined when it is about none, or about something that is not there. */
export async function poolOf(store: ResourceStore, requested: Requested): Promise<string | undefined> {
  const { name, id } = (requested.params ?? {}) as { name?: string; id?: string }
  const rules: Record<PoolRule, () => Promise<string | undefined>> = {
    path: async () => name,
    body: async () => (requested.body as { pool?: string }).pool,
    vm: async () => (await store.get('vm', id ?? ''))?.value.pool,
    token: async () => (await store.get('token', id ?? ''))?.value.pool,
    none: async () => undefined,
    all: async () => undefined,
    listed: async () => (requested.query as { pool?: string } | undefined)?.pool,
  }
  return rules[requested.access.pool]()
}
