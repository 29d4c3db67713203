import type { ServerResponse } from 'node:http'
import { operatorPaths } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import type { Authenticator } from '../auth/authenticator.ts'
import type { Authorizer } from '../auth/authorizer.ts'
import { judgedAgain } from '../auth/gate.ts'
import { covers, type Principal } from '../auth/policy.ts'
import type { Fleet, FleetEvent } from '../fleet/fleet.ts'
import { type App, operator, PoolQuery, principalOf } from './app.ts'
import { securityHeaders } from './headers.ts'

export interface EventRoutesDeps {
  readonly fleet: Pick<Fleet, 'views' | 'subscribe'>
  readonly authenticator: Authenticator
  readonly authorizer: Authorizer<Principal>
  readonly clock: Clock
  /** How many may watch at a time. */
  readonly most: number
  /** Aborted when the controller stops. */
  readonly signal: AbortSignal
}

const commentMs = 10_000
/** A watcher that reads so slowly that more than this waits for it is cut off: it comes back and gets all anew. */
const mostUnsent = 8 * 1024 * 1024

/** All VMs as they are, then every change: server-sent events (WHATWG HTML, 9.2). */
export function eventRoutes(app: App, deps: EventRoutesDeps): void {
  const { fleet, clock, most, signal } = deps
  const access = operator('viewer', 'listed')
  let watchers = 0

  async function watch(
    response: ServerResponse,
    isWanted: (pool: string) => boolean,
    still: () => Promise<boolean>,
  ) {
    const end = new AbortController()
    const stop = () => end.abort()
    response.once('close', stop)
    signal.addEventListener('abort', stop, { once: true })
    // Which VMs this watcher has seen: it is told of the going of no others.
    const seen = new Set<string>()
    const write = (text: string) => {
      if (response.writableLength > mostUnsent) stop()
      else if (!end.signal.aborted) response.write(text)
    }
    const tell = (event: FleetEvent) => {
      if (event.kind === 'gone') {
        if (seen.delete(event.id)) write(`event: gone\ndata: ${JSON.stringify({ id: event.id })}\n\n`)
      } else if (isWanted(event.view.pool)) {
        seen.add(event.view.id)
        write(`event: vm\ndata: ${JSON.stringify(event.view)}\n\n`)
      }
    }
    // Subscribed before the list is read, so that no change falls between; what came meanwhile follows it.
    let early: FleetEvent[] | undefined = []
    const unsubscribe = fleet.subscribe((event) => (early === undefined ? tell(event) : early.push(event)))
    try {
      for (const view of await fleet.views()) tell({ kind: 'vm', view })
      for (const event of early) tell(event)
      early = undefined
      for (;;) {
        await clock.sleep(commentMs, end.signal)
        // A credential or permission that ended, or was taken away, ends what it opened.
        if (!(await still())) return
        write(': still here\n\n')
      }
    } catch (error) {
      if (!end.signal.aborted) throw error
    } finally {
      unsubscribe()
      signal.removeEventListener('abort', stop)
      response.end()
    }
  }

  app.route({
    method: 'GET',
    url: operatorPaths.events,
    config: { access },
    schema: {
      summary: 'All VMs, then each change, as server-sent events',
      tags: ['vms'],
      querystring: PoolQuery,
      produces: ['text/event-stream'],
    },
    handler: async (request, reply) => {
      if (watchers >= most) {
        throw new MooringError('UNAVAILABLE', { detail: 'too many watch already', retryAfterSeconds: 30 })
      }
      const principal: Principal = principalOf(request)
      const { pool } = request.query
      watchers += 1
      reply.hijack()
      reply.raw.writeHead(200, {
        ...securityHeaders,
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      reply.raw.flushHeaders()
      try {
        await watch(
          reply.raw,
          (of) => covers(principal, of) && (pool ?? of) === of,
          async () => {
            // Who may see other pools by now, or cannot be judged, comes back and is told all anew.
            const now = await judgedAgain(request, access, deps).catch(() => undefined)
            return now !== undefined && String(now.pools) === String(principal.pools)
          },
        )
      } finally {
        watchers -= 1
      }
    },
  })
}
