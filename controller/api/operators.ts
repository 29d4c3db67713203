import { Type } from 'typebox'
import {
  Enrol,
  OperatorCertificate,
  OperatorCertificateRequest,
  OperatorCreate,
  OperatorCreated,
  OperatorView,
} from '../../shared/api/operator.ts'
import { WhoAmI } from '../../shared/api/who-am-i.ts'
import { limits, operatorPaths } from '../../shared/api/wire.ts'
import { isMooringError } from '../../shared/errors.ts'
import type { Audit } from '../audit.ts'
import type { OperatorCertificates } from '../auth/operator-certificates.ts'
import type { Operators } from '../auth/operators.ts'
import type { Principal, RolePrincipal } from '../auth/policy.ts'
import { type App, anyone, audited, NameParams, NoContent, operator, principalOf } from './app.ts'

export interface OperatorRoutesDeps {
  readonly operators: Operators
  readonly certificates: OperatorCertificates
  readonly audit: Audit
  /** Enrolments that one source may try in a minute. */
  readonly enrolmentsPerMinute: number
}

/** Who may use the interface. */
export function operatorRoutes(app: App, deps: OperatorRoutesDeps): void {
  const { operators, certificates, audit, enrolmentsPerMinute } = deps
  app.route({
    method: 'POST',
    url: operatorPaths.enrol,
    bodyLimit: limits.operator,
    config: { access: anyone, rateLimit: { max: enrolmentsPerMinute, timeWindow: 60_000, groupId: 'enrol' } },
    schema: {
      summary: 'Become an administrator by the one-time code',
      tags: ['operators'],
      body: Enrol,
      response: { 200: OperatorCreated },
    },
    handler: async (request) => {
      const { code, name } = request.body
      const entry = { action: 'operator.enrol', target: `operator/${name}`, address: request.ip }
      try {
        const created = await operators.enrol(code, name)
        await audit.record({ ...entry, actor: `operator:${name}`, outcome: 'done' })
        return created
      } catch (error) {
        if (isMooringError(error, 'ENROLMENT_INVALID')) {
          await audit.record({ ...entry, actor: 'anonymous', outcome: 'denied', code: error.code })
        }
        throw error
      }
    },
  })
  app.route({
    method: 'GET',
    url: '/v1/whoami',
    config: { access: operator('viewer', 'none') },
    schema: { summary: 'Who one is', tags: ['operators'], response: { 200: WhoAmI } },
    handler: async (request) => self(principalOf(request)),
  })
  app.route({
    method: 'GET',
    url: '/v1/operators',
    config: { access: operator('admin', 'all') },
    schema: { summary: 'All operators', tags: ['operators'], response: { 200: Type.Array(OperatorView) } },
    handler: async () => (await operators.list()).map(view),
  })
  app.route({
    method: 'POST',
    url: '/v1/operators',
    bodyLimit: limits.operator,
    config: { access: operator('admin', 'all') },
    schema: {
      summary: 'A new operator; the answer shows the token, once',
      tags: ['operators'],
      body: OperatorCreate,
      response: { 201: OperatorCreated },
    },
    handler: async (request, reply) => {
      const { name, role, pools = ['*'] } = request.body
      const what = {
        action: 'operator.create',
        target: `operator/${name}`,
        detail: `${role} of ${pools.join(', ')}`,
      }
      reply.code(201)
      return audited(audit, request, what, () => operators.create(request.body))
    },
  })
  app.route({
    method: 'DELETE',
    url: '/v1/operators/:name',
    config: { access: operator('admin', 'all') },
    schema: {
      summary: 'Removes an operator; the token is void at once',
      tags: ['operators'],
      params: NameParams,
      response: { 204: NoContent },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const what = { action: 'operator.delete', target: `operator/${name}` }
      await audited(audit, request, what, () => operators.remove(name))
      return reply.code(204).send(null)
    },
  })
  app.route({
    method: 'POST',
    url: '/v1/operators/:name/certificate',
    bodyLimit: limits.operator,
    config: { access: operator('admin', 'all') },
    schema: {
      summary: 'A new client certificate of an operator; the one before is void',
      tags: ['operators'],
      params: NameParams,
      body: OperatorCertificateRequest,
      response: { 201: OperatorCertificate },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const what = { action: 'operator.certify', target: `operator/${name}` }
      reply.code(201)
      return audited(audit, request, what, () => certificates.issue(name, request.body))
    },
  })
  app.route({
    method: 'DELETE',
    url: '/v1/operators/:name/certificate',
    config: { access: operator('admin', 'all') },
    schema: {
      summary: "Makes an operator's client certificate void at once; the token stays",
      tags: ['operators'],
      params: NameParams,
      response: { 204: NoContent },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const what = { action: 'operator.revoke-certificate', target: `operator/${name}` }
      await audited(audit, request, what, () => certificates.revoke(name))
      return reply.code(204).send(null)
    },
  })
}

function view({ name, role, pools, createdAt = 0, expiresAt }: RolePrincipal) {
  return { name, role, pools: [...pools], createdAt, expiresAt }
}

function self(principal: Principal): WhoAmI {
  const { by, name, expiresAt } = principal
  const end = { ...(expiresAt !== undefined && { expiresAt }) }
  if (principal.by === 'kubernetes') return { name, by, groups: [...principal.user.groups], ...end }
  const { role, pools, createdAt } = principal
  return { name, by, role, pools: [...pools], ...end, ...(createdAt !== undefined && { createdAt }) }
}
