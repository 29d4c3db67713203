import { Bundle } from '../../shared/api/bundle.ts'
import { paths } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { type App, agentOnly } from './app.ts'

export interface BundleRoutesDeps {
  readonly fleet: Pick<Fleet, 'bundle'>
  /** Aborted when the controller stops. */
  readonly signal: AbortSignal
}

/** Step 5 of the contract. */
export function bundleRoutes(app: App, deps: BundleRoutesDeps): void {
  app.route({
    method: 'GET',
    url: paths.bundle,
    config: { access: agentOnly },
    schema: {
      summary: 'All that this VM needs to be in the mesh, with a fresh token',
      tags: ['agent'],
      response: { 200: Bundle },
    },
    handler: (request) => {
      if (request.agent === null) throw new MooringError('UNAUTHENTICATED')
      return deps.fleet.bundle(request.agent.vm, deps.signal)
    },
  })
}
