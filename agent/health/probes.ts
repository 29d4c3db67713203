import { isIPv6 } from 'node:net'
import type { Probe } from '../../shared/api/bundle.ts'
import { errorText } from '../../shared/errors.ts'
import { askPlain } from '../client/plain-http.ts'
import { isTimeout, withTimeLimit } from '../client/time-limit.ts'
import { type Exec, exec } from '../host/exec.ts'
import { hasErrno } from '../host/files.ts'
import { type ExecProbeDeps, nobody, type ProbeUser, probeByExec } from './exec-probe.ts'
import { probeByGrpc } from './grpc-probe.ts'
import type { ProbeResult } from './judge.ts'
import { probeByTcp } from './tcp-probe.ts'

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
  /** Runs a command. @defaultValue `exec` */
  readonly exec?: Exec
  /** As whom a command is run. @defaultValue `nobody` */
  readonly user?: ProbeUser
}

const defaultTimeoutSeconds = 1
/** As much of an answer as is read before the connection is closed. */
const maxBody = 64 * 1024

/** Whether the pool says how the application is asked. */
export function isProbed(probe: Probe | undefined): probe is Probe {
  return (probe?.http ?? probe?.tcp ?? probe?.grpc ?? probe?.exec) !== undefined
}

/** Probes, each time on a connection of its own: a kept one would outlive the listener it tests. */
export function createProbe(deps: ProbeDeps = {}): ProbeOnce {
  const { host: where = () => '127.0.0.1' } = deps
  const how = { exec: deps.exec ?? exec, user: deps.user ?? nobody }
  return async (probe, signal) => {
    const host = where()
    const target = targetOf(probe, host)
    const limitMs = (probe.timeoutSeconds ?? defaultTimeoutSeconds) * 1000
    try {
      const { ok, detail } = await withTimeLimit(limitMs, signal, (limit) => look(probe, host, how, limit))
      return { ok, detail: `${target} ${detail}` }
    } catch (error) {
      signal.throwIfAborted()
      return { ok: false, detail: `${target} ${failure(error)}` }
    }
  }
}

async function look(
  probe: Probe,
  host: string,
  how: ExecProbeDeps,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const { http, tcp, grpc, exec: program } = probe
  if (http !== undefined) {
    const reply = await askPlain({ host, port: http.port, path: http.path, maxBody, signal })
    if ('fault' in reply) return { ok: false, detail: `failed: ${reply.fault}` }
    // 2xx and 3xx, as in Kubernetes.
    return { ok: reply.status >= 200 && reply.status < 400, detail: `answered ${reply.status}` }
  }
  if (tcp !== undefined) return probeByTcp(host, tcp.port, signal)
  if (grpc !== undefined) return probeByGrpc(host, grpc, signal)
  if (program !== undefined) return probeByExec(program.command, how, signal)
  return { ok: true, detail: 'is not probed' }
}

/** What was asked, in words. */
function targetOf({ http, tcp, grpc, exec }: Probe, host: string): string {
  if (exec !== undefined && (http ?? tcp ?? grpc) === undefined) return exec.command[0] ?? ''
  const port = http?.port ?? tcp?.port ?? grpc?.port
  return `${isIPv6(host) ? `[${host}]` : host}:${port}${http?.path ?? ''}`
}

function failure(error: unknown): string {
  if (isTimeout(error)) return 'did not answer in time'
  if (hasErrno(error, 'ECONNREFUSED'))
    return 'refuses connections: nothing listens there (the application must listen on loopback or on every address)'
  return `failed: ${errorText(error)}`
}
