import { type Static, Type } from 'typebox'
import type { Metrics } from '../metrics.ts'
import { type App, anyone, operator } from './app.ts'

const Part = Type.Object({
  part: Type.String(),
  ok: Type.Boolean(),
  detail: Type.String(),
  /** False where the controller is of use without it: agents must find it all the more. @defaultValue true */
  needed: Type.Optional(Type.Boolean()),
})
const Readiness = Type.Object({ ready: Type.Boolean(), parts: Type.Array(Part) })

/** One thing that the controller needs to do its work. */
export type ReadinessPart = Static<typeof Part>

export interface HealthRoutesDeps {
  readonly readiness: () => Promise<readonly ReadinessPart[]>
  readonly metrics: Metrics
}

/** For those who watch the controller. */
export function healthRoutes(app: App, deps: HealthRoutesDeps): void {
  app.route({
    method: 'GET',
    url: '/healthz',
    config: { access: anyone },
    schema: {
      summary: 'Whether the process answers',
      tags: ['health'],
      response: { 200: Type.Object({ status: Type.Literal('ok') }) },
    },
    handler: async () => ({ status: 'ok' as const }),
  })
  app.route({
    method: 'GET',
    url: '/readyz',
    config: { access: anyone },
    schema: {
      summary: 'Whether every needed part is well, and which is not',
      tags: ['health'],
      response: { 200: Readiness, 503: Readiness },
    },
    handler: async (_request, reply) => {
      const parts = [...(await deps.readiness())]
      const ready = parts.every(({ ok, needed = true }) => ok || !needed)
      return reply.code(ready ? 200 : 503).send({ ready, parts })
    },
  })
  app.route({
    method: 'GET',
    url: '/metrics',
    config: { access: operator('viewer', 'none') },
    schema: { summary: 'Figures for Prometheus', tags: ['health'], produces: ['text/plain'] },
    handler: async (_request, reply) => {
      const { type, text } = await deps.metrics.read()
      return reply.type(type).send(text)
    },
  })
}
