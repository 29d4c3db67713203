import { Type } from 'typebox'
import { TokenCreate, TokenCreated, TokenView } from '../../shared/api/operator.ts'
import { limits } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import { covers } from '../auth/policy.ts'
import { newJoinToken } from '../join/new-token.ts'
import type { ResourceStore, Stored } from '../store/resource-store.ts'
import { type App, audited, IdParams, NoContent, operator, PoolQuery, principalOf } from './app.ts'

export interface TokenRoutesDeps {
  readonly store: ResourceStore
  readonly audit: Audit
  readonly clock: Clock
}

const defaultTtlSeconds = 3600

/** Secrets with which VMs join. */
export function tokenRoutes(app: App, deps: TokenRoutesDeps): void {
  const { store, audit, clock } = deps
  app.route({
    method: 'GET',
    url: '/v1/tokens',
    config: { access: operator('operator', 'listed') },
    schema: {
      summary: 'Join tokens, without the secrets',
      tags: ['tokens'],
      querystring: PoolQuery,
      response: { 200: Type.Array(TokenView) },
    },
    handler: async (request) => {
      const principal = principalOf(request)
      const { pool } = request.query
      return (await store.list('token'))
        .filter(({ value }) => covers(principal, value.pool) && (pool ?? value.pool) === value.pool)
        .map(view)
    },
  })
  app.route({
    method: 'POST',
    url: '/v1/tokens',
    bodyLimit: limits.operator,
    config: { access: operator('operator', 'body') },
    schema: {
      summary: 'A new join token; the answer shows it, once',
      tags: ['tokens'],
      body: TokenCreate,
      response: { 201: TokenCreated },
    },
    handler: async (request, reply) => {
      const { pool, uses = 1, ttlSeconds = defaultTtlSeconds } = request.body
      const createdBy = `operator:${principalOf(request).name}`
      const { id, token, record } = newJoinToken({ pool, uses, ttlSeconds, createdBy }, clock.now())
      const what = { action: 'token.create', target: `token/${id}`, detail: `pool ${pool}, ${uses} uses` }
      await audited(audit, request, what, async () => {
        if ((await store.get('pool', pool)) === undefined) {
          throw new MooringError('NOT_FOUND', { detail: `pool ${pool}` })
        }
        await store.commit([{ put: 'token', name: id, value: record }])
      })
      return reply.code(201).send({ id, pool, token, uses, expiresAt: record.expiresAt })
    },
  })
  app.route({
    method: 'DELETE',
    url: '/v1/tokens/:id',
    config: { access: operator('operator', 'token') },
    schema: {
      summary: 'Makes a join token void',
      tags: ['tokens'],
      params: IdParams,
      response: { 204: NoContent },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      await audited(audit, request, { action: 'token.delete', target: `token/${id}` }, async () => {
        const stored = await store.get('token', id)
        if (stored === undefined) throw new MooringError('NOT_FOUND', { detail: `token ${id}` })
        // Without a version: a use in between must not keep a leaked token alive.
        await store.commit([{ remove: 'token', name: id }])
      })
      return reply.code(204).send(null)
    },
  })
}

function view({ name, value }: Stored<'token'>) {
  const { pool, uses, usedBy, expiresAt, createdBy } = value
  return { id: name, pool, uses, used: usedBy.length, expiresAt, createdBy }
}
