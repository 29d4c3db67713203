import { Type } from 'typebox'
import { paths, Sha256 } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import { type App, agentOnly } from './app.ts'
import type { Artifacts } from './artifacts.ts'
import { byteRange } from './byte-range.ts'

export interface SidecarRoutesDeps {
  readonly artifacts: Artifacts
}

/** Step 3 of the contract. */
export function sidecarRoutes(app: App, deps: SidecarRoutesDeps): void {
  const { artifacts } = deps
  app.route({
    method: 'GET',
    url: paths.sidecar(':sha256'),
    config: { access: agentOnly },
    schema: {
      summary: 'A sidecar archive, whole or in part (`Range`)',
      tags: ['agent'],
      params: Type.Object({ sha256: Sha256 }),
      produces: ['application/gzip'],
    },
    handler: async (request, reply) => {
      const { sha256 } = request.params
      const artifact = artifacts.find(sha256)
      if (artifact === undefined) throw new MooringError('NOT_FOUND', { detail: `artifact ${sha256}` })
      const etag = `"${sha256}"`
      reply.header('etag', etag).header('accept-ranges', 'bytes')
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      // A range of another content (If-Range) is of no use: all of this one is sent.
      const isSame = (request.headers['if-range'] ?? etag) === etag
      const range = byteRange(isSame ? request.headers.range : undefined, artifact.size)
      if (range === 'unsatisfiable') {
        return reply.code(416).header('content-range', `bytes */${artifact.size}`).send()
      }
      const { from, to } = range ?? { from: 0, to: artifact.size - 1 }
      const body = await artifacts.read(sha256, from, to)
      if (range !== undefined) {
        reply.code(206).header('content-range', `bytes ${from}-${to}/${artifact.size}`)
      }
      return reply
        .header('content-length', to - from + 1)
        .type('application/gzip')
        .send(body)
    },
  })
}
