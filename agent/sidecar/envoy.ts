import { errorText, MooringError } from '../../shared/errors.ts'
import { askPlain } from '../client/plain-http.ts'
import { withTimeLimit } from '../client/time-limit.ts'
import { hasErrno } from '../host/files.ts'
import { sidecarPorts } from './paths.ts'
import { type InboundCount, inboundCount, inboundFilter, parseStatistics } from './statistics.ts'

export interface Readiness {
  readonly ready: boolean
  /** Why not, in words. */
  readonly detail: string
}

/** The running sidecar, as its two local interfaces show it. */
export interface Envoy {
  /** Envoy has its first configuration and serves, and so does the DNS proxy if there is one. Never throws. */
  readiness(signal: AbortSignal): Promise<Readiness>
  inbound(signal: AbortSignal): Promise<InboundCount>
  /** Tells peers to go elsewhere with their next request; keeps serving what comes. */
  drain(signal: AbortSignal): Promise<void>
}

export interface EnvoyDeps {
  readonly ports?: { readonly admin: number; readonly health: number }
}

const timeoutMs = 2000
const maxAnswer = 1024 * 1024
// On a VM of IPv6 alone, and for the admin interface also in a mesh of both families when the workload's address is an
// IPv6 one, Envoy listens on the second only (istio pkg/bootstrap/config.go).
const hosts = ['127.0.0.1', '::1'] as const

/** Talks to Envoy's admin interface and health port; each call is a connection of its own. */
export function createEnvoy({ ports = sidecarPorts }: EnvoyDeps = {}): Envoy {
  const call = async (port: number, method: 'GET' | 'POST', path: string, signal: AbortSignal) => {
    const ask = (host: string) =>
      withTimeLimit(timeoutMs, signal, async (limit) => {
        const reply = await askPlain({ host, port, method, path, maxBody: maxAnswer, signal: limit })
        const fault = 'fault' in reply ? reply.fault : `an answer longer than ${maxAnswer} bytes`
        if ('fault' in reply || !reply.whole) throw new MooringError('SIDECAR_NOT_READY', { detail: fault })
        return reply
      })
    const [first, second] = hosts
    try {
      return await ask(first)
    } catch (refused) {
      if (!hasErrno(refused, 'ECONNREFUSED')) throw refused
      return await ask(second).catch((error: unknown) => {
        // Nothing was connected to: what is said is about the usual address.
        throw hasErrno(error, 'ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT') ? refused : error
      })
    }
  }

  const admin = async (method: 'GET' | 'POST', path: string, signal: AbortSignal): Promise<string> => {
    try {
      const { status, body } = await call(ports.admin, method, path, signal)
      if (status === 200) return body
      throw new MooringError('SIDECAR_NOT_READY', { detail: `Envoy answered ${status} to ${path}` })
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof MooringError) throw error
      throw new MooringError('SIDECAR_NOT_READY', { detail: `Envoy: ${errorText(error)}`, cause: error })
    }
  }

  return {
    async readiness(signal) {
      try {
        // Through Envoy to pilot-agent, which looks at configuration, workers and DNS table (istio
        // pilot/cmd/pilot-agent/status/server.go). A hung Envoy is seen by it too.
        const { status } = await call(ports.health, 'GET', '/healthz/ready', signal)
        const ready = status === 200
        return { ready, detail: ready ? '' : 'Envoy has not received its configuration from istiod yet' }
      } catch (error) {
        return { ready: false, detail: errorText(error) }
      }
    },

    async inbound(signal) {
      const path = `/stats?filter=${encodeURIComponent(inboundFilter)}`
      return inboundCount(parseStatistics(await admin('GET', path, signal)))
    },

    async drain(signal) {
      // skip_exit: the listeners stay until the agent stops the sidecar; a late request is answered, not refused.
      await admin('POST', '/drain_listeners?inboundonly&graceful&skip_exit', signal)
    },
  }
}
