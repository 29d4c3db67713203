import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type {} from '@fastify/rate-limit'
import type {} from '@fastify/swagger'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Role } from '../../shared/api/operator.ts'
import { Name } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Audit, AuditEntry } from '../audit.ts'
import type { Access, OperatorAccess, PoolRule, Principal } from '../auth/policy.ts'

/** The HTTPS server that routes are put into. */
export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export const anyone: Access = { by: 'anyone' }
export const agentOnly: Access = { by: 'agent' }

/** The rule of an operators' route. */
export function operator(role: Role, pool: PoolRule): OperatorAccess {
  return { by: 'operator', role, pool }
}

export const NameParams = Type.Object({ name: Name })
export const IdParams = Type.Object({ id: Name })
export const PoolQuery = Type.Object({ pool: Type.Optional(Name) }, { additionalProperties: false })
export const NoContent = Type.Null({ description: 'Done' })

/** The operator that the gate let through. */
export function principalOf(request: Pick<FastifyRequest, 'principal'>): Principal {
  if (request.principal === null) throw new MooringError('UNAUTHENTICATED')
  return request.principal
}

/** Does what an operator asked for and writes down that it was done, or that it was refused and why. */
export async function audited<T>(
  audit: Audit,
  request: Pick<FastifyRequest, 'principal' | 'ip'>,
  what: Pick<AuditEntry, 'action' | 'target' | 'detail'>,
  work: () => Promise<T>,
): Promise<T> {
  const entry = { ...what, actor: `operator:${principalOf(request).name}`, address: request.ip }
  let result: T
  try {
    result = await work()
  } catch (error) {
    const code = error instanceof MooringError ? error.code : 'INTERNAL'
    await audit.record({ ...entry, outcome: 'denied', code })
    throw error
  }
  await audit.record({ ...entry, outcome: 'done' })
  return result
}
