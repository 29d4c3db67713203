import { Challenge, JoinRequest, JoinResponse } from '../../shared/api/join.ts'
import { limits, paths } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Challenges } from '../join/challenge.ts'
import type { Join } from '../join/join.ts'
import { type App, anyone } from './app.ts'

export interface JoinRoutesDeps {
  readonly challenges: Challenges
  readonly join: Join
  /** Requests of one source in a minute; a NAT may stand before a whole pool. */
  readonly perMinute: number
}

/** Steps 1, 2 and 6 of the contract. */
export function joinRoutes(app: App, deps: JoinRoutesDeps): void {
  const rateLimit = { max: deps.perMinute, timeWindow: 60_000, groupId: 'join' }
  app.route({
    method: 'GET',
    url: paths.challenge,
    config: { access: anyone, rateLimit },
    schema: {
      summary: 'A value to sign with the key that joins',
      tags: ['agent'],
      response: { 200: Challenge },
    },
    handler: async () => deps.challenges.issue(),
  })
  app.route({
    method: 'POST',
    url: paths.join,
    bodyLimit: limits.join,
    config: { access: anyone, rateLimit },
    schema: {
      summary: 'Become a VM of a pool, or come back as one',
      tags: ['agent'],
      body: JoinRequest,
      response: { 200: JoinResponse },
    },
    handler: (request) => {
      const waits = new AbortController()
      const { socket } = request.raw
      const hangUp = () => waits.abort(new MooringError('UNAVAILABLE', { detail: 'the joiner hung up' }))
      if (socket.destroyed) hangUp()
      socket.once('close', hangUp)
      return deps
        .join(request.body, request.ip, waits.signal)
        .finally(() => void socket.removeListener('close', hangUp))
    },
  })
}
