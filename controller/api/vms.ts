import { Type } from 'typebox'
import { DrainCreate, RemoveQuery, VmExplanation, VmView } from '../../shared/api/operator.ts'
import { limits } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import { covers } from '../auth/policy.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { type App, audited, IdParams, operator, PoolQuery, principalOf } from './app.ts'

export interface VmRoutesDeps {
  readonly fleet: Pick<Fleet, 'view' | 'views' | 'explain' | 'requestDrain' | 'remove'>
  readonly audit: Audit
}

/** VMs, and what operators do with them. */
export function vmRoutes(app: App, deps: VmRoutesDeps): void {
  const { fleet, audit } = deps
  app.route({
    method: 'GET',
    url: '/v1/vms',
    config: { access: operator('viewer', 'listed') },
    schema: {
      summary: 'All VMs',
      tags: ['vms'],
      querystring: PoolQuery,
      response: { 200: Type.Array(VmView) },
    },
    handler: async (request) => {
      const principal = principalOf(request)
      return (await fleet.views(request.query.pool)).filter((vm) => covers(principal, vm.pool))
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/vms/:id',
    config: { access: operator('viewer', 'vm') },
    schema: { summary: 'One VM', tags: ['vms'], params: IdParams, response: { 200: VmView } },
    handler: async (request) => found(request.params.id, await fleet.view(request.params.id)),
  })
  app.route({
    method: 'GET',
    url: '/v1/vms/:id/explanation',
    config: { access: operator('viewer', 'vm') },
    schema: {
      summary: 'Why a VM is not ready, and how to mend it',
      tags: ['vms'],
      params: IdParams,
      response: { 200: VmExplanation },
    },
    handler: async (request) => found(request.params.id, await fleet.explain(request.params.id)),
  })
  app.route({
    method: 'POST',
    url: '/v1/vms/:id/drain',
    bodyLimit: limits.operator,
    config: { access: operator('operator', 'vm') },
    schema: {
      summary: 'Takes a VM out of service without a failed request',
      tags: ['vms'],
      params: IdParams,
      body: DrainCreate,
      response: { 202: VmView },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      const { after = 'leave', deadlineSeconds } = request.body
      const what = { action: 'vm.drain', target: `vm/${id}`, detail: `then ${after}` }
      await audited(audit, request, what, () =>
        fleet.requestDrain(id, {
          reason: 'operator',
          after,
          by: `operator:${principalOf(request).name}`,
          ...(deadlineSeconds !== undefined && { deadlineSeconds }),
        }),
      )
      return reply.code(202).send(found(id, await fleet.view(id)))
    },
  })
  app.route({
    method: 'DELETE',
    url: '/v1/vms/:id',
    config: { access: operator('operator', 'vm') },
    schema: {
      summary: 'Takes a VM out of the mesh for good; its key is not accepted again',
      tags: ['vms'],
      params: IdParams,
      querystring: RemoveQuery,
      response: { 202: VmView },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      const now = request.query.now ?? false
      const what = { action: 'vm.remove', target: `vm/${id}`, ...(now && { detail: 'without draining' }) }
      const by = `operator:${principalOf(request).name}`
      await audited(audit, request, what, () => fleet.remove(id, { by, now }))
      return reply.code(202).send(found(id, await fleet.view(id)))
    },
  })
}

function found<T>(id: string, thing: T | undefined): T {
  if (thing === undefined) throw new MooringError('NOT_FOUND', { detail: `vm ${id}` })
  return thing
}
