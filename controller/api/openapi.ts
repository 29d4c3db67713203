import swagger from '@fastify/swagger'
import websocket from '@fastify/websocket'
import { fastify } from 'fastify'
import { Problem } from '../../shared/api/join.ts'
import type { Access } from '../auth/policy.ts'
import type { App } from './app.ts'
import { problemType } from './problem.ts'
import { type RoutesDeps, routes } from './routes.ts'

/** Makes the server describe itself. Registered before the routes. */
export async function describe(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Mooring controller',
        description:
          'Errors are problem details (RFC 9457) whose `code` is in docs/errors.md. Operators send a bearer token, agents show a certificate of the controller.',
        version: '1',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          operator: { type: 'http', scheme: 'bearer' },
          agent: { type: 'mutualTLS' } as never,
        },
      },
    },
    transform: ({ schema, url, route }) => ({
      url,
      schema: {
        ...schema,
        ...security(route.config?.access),
        response: {
          ...(schema?.response as object | undefined),
          default: {
            description: 'What went wrong',
            content: { [problemType.split(';')[0] ?? problemType]: { schema: Problem } },
          },
        },
      },
    }),
  })
}

function security(access: Access | undefined) {
  if (access === undefined || access.by === 'anyone') return { security: [] }
  if (access.by === 'agent') return { security: [{ agent: [] }] }
  const pools = access.pool === 'all' ? ' of all pools' : access.pool === 'none' ? '' : ' of the pool'
  return { security: [{ operator: [] }], description: `For the role \`${access.role}\`${pools}.` }
}

/** The description without a server; docs/openapi.json holds it. */
export async function openapiDocument(): Promise<string> {
  const app = fastify({ https: {} }) as unknown as App
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (body) => JSON.stringify(body))
  await describe(app)
  await app.register(websocket)
  // No handler runs: the routes' needs are never touched.
  const nothing: unknown = new Proxy({}, { get: () => nothing })
  routes(app, nothing as RoutesDeps)
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2)
  await app.close()
  return `${document}\n`
}
