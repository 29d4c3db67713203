import { Type } from 'typebox'
import { AuditQuery, AuditRecord } from '../../shared/api/operator.ts'
import type { Audit } from '../audit.ts'
import { type App, operator } from './app.ts'

export interface AuditRoutesDeps {
  readonly audit: Audit
}

/** What was decided and done. */
export function auditRoutes(app: App, deps: AuditRoutesDeps): void {
  app.route({
    method: 'GET',
    url: '/v1/audit',
    config: { access: operator('admin', 'all') },
    schema: {
      summary: 'Audit records, oldest first: those after `after`, or the newest',
      tags: ['audit'],
      querystring: AuditQuery,
      response: { 200: Type.Array(AuditRecord) },
    },
    handler: async (request) => [...(await deps.audit.query(request.query))],
  })
}
