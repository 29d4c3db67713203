import { randomBytes } from 'node:crypto'
import { Type } from 'typebox'
import { InjectionCreate, InjectionView } from '../../shared/api/injection.ts'
import { limits } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import { covers } from '../auth/policy.ts'
import type { Injections } from '../delivery/injections.ts'
import { type App, audited, IdParams, operator, principalOf } from './app.ts'

export interface InjectionRoutesDeps {
  readonly injections: Injections
  readonly audit: Audit
}

/** Machines that are made VMs by SSH. */
export function injectionRoutes(app: App, { injections, audit }: InjectionRoutesDeps): void {
  app.route({
    method: 'POST',
    url: '/v1/injections',
    bodyLimit: limits.operator,
    config: { access: operator('operator', 'body') },
    schema: {
      summary: 'Begins to make machines VMs of a pool by SSH, or to undo that',
      tags: ['injections'],
      body: InjectionCreate,
      response: { 202: InjectionView },
    },
    handler: async (request, reply) => {
      const { pool, action = 'inject', targets } = request.body
      const id = `inj-${randomBytes(8).toString('hex')}`
      const by = `operator:${principalOf(request).name}`
      const detail = `pool ${pool}, ${targets.length} machines, ${action}`
      const what = { action: 'injection.create', target: `injection/${id}`, detail }
      const view = await audited(audit, request, what, () => injections.begin(id, { ...request.body, by }))
      return reply.code(202).send(view)
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/injections',
    config: { access: operator('viewer', 'listed') },
    schema: {
      summary: 'Injections that run, and the last ones that ended',
      tags: ['injections'],
      response: { 200: Type.Array(InjectionView) },
    },
    handler: async (request) => {
      const principal = principalOf(request)
      return injections.list().filter(({ pool }) => covers(principal, pool))
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/injections/:id',
    config: { access: operator('viewer', 'listed') },
    schema: {
      summary: 'How far an injection is',
      tags: ['injections'],
      params: IdParams,
      response: { 200: InjectionView },
    },
    handler: async (request) => {
      const { id } = request.params
      const view = injections.list().find((one) => one.id === id)
      if (view === undefined || !covers(principalOf(request), view.pool)) {
        throw new MooringError('NOT_FOUND', { detail: `injection ${id}` })
      }
      return view
    },
  })
}
