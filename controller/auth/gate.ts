import type { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import type { Metrics } from '../metrics.ts'
import type { ResourceStore } from '../store/resource-store.ts'
import type { AgentPeer, Agents } from './agents.ts'
import { bearerOf } from './bearer.ts'
import type { OperatorCertificates } from './operator-certificates.ts'
import type { Operators } from './operators.ts'
import { type Access, judgePool, judgeRole, type PoolRule, type Principal, type Verdict } from './policy.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. */
    access?: Access
  }
  interface FastifyRequest {
    principal: Principal | null
    agent: AgentPeer | null
  }
}

export interface GateDeps {
  readonly operators: Operators
  readonly certificates: Pick<OperatorCertificates, 'authenticate'>
  readonly agents: Agents
  readonly store: ResourceStore
  readonly audit: Audit
  readonly metrics: Metrics
  /** Counts a failed attempt of this source; throws `RATE_LIMITED` when there were too many. */
  readonly failed: (request: FastifyRequest) => Promise<void>
}

/** What stands before every route. */
export interface Gate {
  /** Before anything of the request's body is read. */
  admit(request: FastifyRequest): Promise<void>
  /** When the request is read, and is known to fit its schema. */
  cover(request: FastifyRequest): Promise<void>
}

/** The operator of a request: by its token, or, without an `Authorization` header, by its client certificate. */
export async function operatorOf(
  { headers, raw }: Pick<FastifyRequest, 'headers' | 'raw'>,
  { operators, certificates }: Pick<GateDeps, 'operators' | 'certificates'>,
): Promise<Principal | undefined> {
  if (headers.authorization !== undefined) {
    const token = bearerOf(headers.authorization)
    return token === undefined ? undefined : operators.authenticate(token)
  }
  // A browser shows its certificate for whatever page asks it to.
  const { origin, host } = headers
  if (origin !== undefined && origin !== `https://${host}`) return undefined
  return certificates.authenticate(raw.socket as TLSSocket)
}

export function createGate(deps: GateDeps): Gate {
  const { agents, store, audit, metrics, failed } = deps

  async function admitAgent(request: FastifyRequest): Promise<void> {
    try {
      request.agent = await agents.authenticate(request.raw.socket as TLSSocket)
    } catch (error) {
      if (isMooringError(error, 'UNAUTHENTICATED')) await failed(request)
      throw error
    }
  }

  async function admitOperator(request: FastifyRequest, access: Extract<Access, { by: 'operator' }>) {
    const principal = await operatorOf(request, deps)
    if (principal === undefined) await failed(request)
    request.principal = principal ?? null
    await enforce(request, judgeRole(access, principal))
  }

  async function enforce(request: FastifyRequest, verdict: Verdict): Promise<void> {
    if (verdict.allowed) return
    const { code, detail } = verdict
    metrics.count('mooring_operator_denied_total', { code })
    // Strangers do not fill the audit: only who has a name is written down.
    if (request.principal !== null && code === 'FORBIDDEN') {
      await audit.record({
        actor: `operator:${request.principal.name}`,
        action: `${request.method.toLowerCase()} ${request.routeOptions.url ?? ''}`,
        target: request.url.slice(0, 200),
        outcome: 'denied',
        code,
        ...(detail !== undefined && { detail }),
        address: request.ip,
      })
    }
    throw new MooringError(code, detail === undefined ? {} : { detail })
  }

  async function poolOf(rule: PoolRule, request: FastifyRequest): Promise<string | undefined> {
    const { name, id } = request.params as { name?: string; id?: string }
    switch (rule) {
      case 'path':
        return name
      case 'body':
        return (request.body as { pool?: string }).pool
      case 'vm':
        return (await store.get('vm', id ?? ''))?.value.pool
      case 'token':
        return (await store.get('token', id ?? ''))?.value.pool
      default:
        return undefined
    }
  }

  return {
    async admit(request) {
      const { access } = request.routeOptions.config
      // No route has no rule (the server does not start with one); this is the handler of unknown paths.
      if (access === undefined || access.by === 'anyone') return
      if (access.by === 'agent') return admitAgent(request)
      return admitOperator(request, access)
    },
    async cover(request) {
      const { access } = request.routeOptions.config
      if (access?.by !== 'operator' || request.principal === null) return
      const pool = await poolOf(access.pool, request)
      await enforce(request, judgePool(access.pool, request.principal, pool))
    },
  }
}
