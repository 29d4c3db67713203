import { request } from 'node:http'
import { connect, isIPv6 } from 'node:net'
import type { Probe } from '../../shared/api/bundle.ts'
import { errorText } from '../../shared/errors.ts'
import { hasErrno } from '../host/files.ts'
import type { ProbeResult } from './judge.ts'

/** Looks at the application once. Never throws but when `signal` aborts. */
export type ProbeOnce = (probe: Probe, signal: AbortSignal) => Promise<ProbeResult>

export interface ProbeDeps {
  /**
   * Where the application is asked. It is where the sidecar delivers: the pool's inbound listeners send to
   * loopback, which reaches applications bound to loopback and to every address. One that is bound to the VM's
   * address alone would not be reached by peers either, so it must not count as well.
   *
   * @defaultValue always 127.0.0.1
   */
  readonly host?: () => string
}

const defaultTimeoutSeconds = 1
/** As much of an answer as is read before the connection is closed. */
const maxBody = 64 * 1024

/** Probes by HTTP or TCP, each time on a connection of its own: a kept one would outlive the listener it tests. */
export function createProbe({ host: where = () => '127.0.0.1' }: ProbeDeps = {}): ProbeOnce {
  return async (probe, signal) => {
    const host = where()
    const limit = AbortSignal.timeout((probe.timeoutSeconds ?? defaultTimeoutSeconds) * 1000)
    const either = AbortSignal.any([signal, limit])
    const result = await look(probe, host, either)
    signal.throwIfAborted()
    const { http, tcp } = probe
    const target = `${isIPv6(host) ? `[${host}]` : host}:${http?.port ?? tcp?.port}${http?.path ?? ''}`
    if (limit.aborted && !result.ok) return { ok: false, detail: `${target} did not answer in time` }
    return { ok: result.ok, detail: `${target} ${result.detail}` }
  }
}

async function look({ http, tcp }: Probe, host: string, signal: AbortSignal): Promise<ProbeResult> {
  try {
    if (http !== undefined) return await getStatus(host, http.port, http.path, signal)
    if (tcp !== undefined) return await connectOnce(host, tcp.port, signal)
    return { ok: true, detail: 'is not probed' }
  } catch (error) {
    if (hasErrno(error, 'ECONNREFUSED')) {
      return {
        ok: false,
        detail:
          'refuses connections: nothing listens there (the application must listen on loopback or on every address)',
      }
    }
    return { ok: false, detail: `failed: ${errorText(error)}` }
  }
}

function getStatus(host: string, port: number, path: string, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'mooring-agent', connection: 'close' }
    const sent = request({ host, port, path, agent: false, signal, headers }, (answer) => {
      const status = answer.statusCode ?? 0
      // 2xx and 3xx, as in Kubernetes.
      const result = { ok: status >= 200 && status < 400, detail: `answered ${status}` }
      let length = 0
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length <= maxBody) return
        resolve(result)
        sent.destroy()
      })
      answer.on('end', () => resolve(result))
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}

function connectOnce(host: string, port: number, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const onAbort = () => socket.destroy(new DOMException('aborted', 'AbortError'))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => {
      socket.end()
      socket.destroy()
      resolve({ ok: true, detail: 'accepts connections' })
    })
    socket.once('error', reject)
    socket.once('close', () => signal.removeEventListener('abort', onAbort))
  })
}
