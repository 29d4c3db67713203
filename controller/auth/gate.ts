import type { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'
import { isMooringError, MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import type { Metrics } from '../metrics.ts'
import type { AgentPeer, Agents } from './agents.ts'
import type { Authenticator } from './authenticator.ts'
import type { Authorizer, Requested } from './authorizer.ts'
import type { Access, OperatorAccess, Principal, Verdict } from './policy.ts'

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
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer<Principal>
  readonly agents: Agents
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

export function createGate(deps: GateDeps): Gate {
  const { authenticator, authorizer, agents, audit, metrics, failed } = deps

  async function admitAgent(request: FastifyRequest): Promise<void> {
    try {
      request.agent = await agents.authenticate(request.raw.socket as TLSSocket)
    } catch (error) {
      if (isMooringError(error, 'UNAUTHENTICATED')) await failed(request)
      throw error
    }
  }

  async function admitOperator(request: FastifyRequest, access: OperatorAccess): Promise<void> {
    const principal = await authenticator.principalOf(request).catch(async (error: unknown) => {
      if (isMooringError(error, 'UNAUTHENTICATED')) await failed(request)
      throw error
    })
    if (principal === undefined) {
      await failed(request)
      return enforce(request, { allowed: false, code: 'UNAUTHENTICATED' })
    }
    request.principal = principal
    await enforce(request, await authorizer.early(principal, requestedBy(request, access)))
  }

  async function enforce(request: FastifyRequest, verdict: Verdict): Promise<void> {
    if (verdict.allowed) {
      if (request.principal !== null && verdict.pools !== undefined) {
        request.principal = { ...request.principal, pools: verdict.pools }
      }
      return
    }
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
      await enforce(request, await authorizer.whole(request.principal, requestedBy(request, access)))
    },
  }
}

/** The operator of a request that is under way for some time, with what it may see by now; undefined if it no longer may. */
export async function judgedAgain(
  request: FastifyRequest,
  access: OperatorAccess,
  { authenticator, authorizer }: Pick<GateDeps, 'authenticator' | 'authorizer'>,
): Promise<Principal | undefined> {
  const principal = await authenticator.principalOf(request)
  if (principal === undefined) return undefined
  const requested = requestedBy(request, access)
  for (const judge of [authorizer.early, authorizer.whole]) {
    const verdict = await judge(principal, requested)
    if (!verdict.allowed) return undefined
    if (verdict.pools !== undefined) return { ...principal, pools: verdict.pools }
  }
  return principal
}

/** What a request says of what it wants. */
function requestedBy(
  request: Pick<FastifyRequest, 'routeOptions' | 'method' | 'params' | 'query' | 'body'>,
  access: OperatorAccess,
): Requested {
  const { method, params, query, body } = request
  return { route: `${method} ${request.routeOptions.url ?? ''}`, access, params, query, body }
}
