import { request } from 'node:https'
import type {
  AuditRecord,
  DrainCreate,
  OperatorCreated,
  PoolSpec,
  PoolView,
  TokenCreated,
  VmExplanation,
  VmView,
} from '../../shared/api/operator.ts'

/** An operator of a controller under test, over its real interface. */
export interface Operator {
  readonly token: string
  call<T>(method: string, path: string, body?: unknown): Promise<T>
  /** The controller's metrics, as text. */
  metrics(): Promise<string>
  pool(name: string): Promise<PoolView>
  applyPool(name: string, spec: PoolSpec): Promise<PoolView>
  createToken(pool: string, options?: { uses?: number; ttlSeconds?: number }): Promise<TokenCreated>
  vms(pool?: string): Promise<readonly VmView[]>
  vm(id: string): Promise<VmView>
  explain(id: string): Promise<VmExplanation>
  drain(id: string, body?: DrainCreate): Promise<VmView>
  remove(id: string, options?: { now?: boolean }): Promise<VmView>
  audit(): Promise<readonly AuditRecord[]>
}

export interface OperatorDeps {
  readonly url: string
  readonly ca: string
  readonly token: string
}

/** A refused call, with the problem's code. */
export class Refused extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, body: string) {
    super(`HTTP ${status}: ${body.slice(0, 500)}`)
    this.status = status
    this.code = /"code":"([A-Z_]+)"/.exec(body)?.[1] ?? ''
  }
}

/** Turns the one-time code of the first start into an administrator. */
export async function enrol(deps: Omit<OperatorDeps, 'token'>, code: string): Promise<Operator> {
  const created = await send<OperatorCreated>({ ...deps, token: '' }, 'POST', '/v1/enrol', {
    code,
    name: 'admin',
  })
  return createOperator({ ...deps, token: created.token })
}

/** An operator with a token. */
export function createOperator(deps: OperatorDeps): Operator {
  const call = <T>(method: string, path: string, body?: unknown) => send<T>(deps, method, path, body)
  return {
    token: deps.token,
    call,
    metrics: () => call('GET', '/metrics'),
    pool: (name) => call('GET', `/v1/pools/${name}`),
    applyPool: (name, spec) => call('PUT', `/v1/pools/${name}`, spec),
    createToken: (pool, options = {}) => call('POST', '/v1/tokens', { pool, ...options }),
    vms: (pool) => call('GET', pool === undefined ? '/v1/vms' : `/v1/vms?pool=${pool}`),
    vm: (id) => call('GET', `/v1/vms/${id}`),
    explain: (id) => call('GET', `/v1/vms/${id}/explanation`),
    drain: (id, body = {}) => call('POST', `/v1/vms/${id}/drain`, body),
    remove: (id, options = {}) => call('DELETE', `/v1/vms/${id}${options.now === true ? '?now=true' : ''}`),
    audit: () => call('GET', '/v1/audit?limit=1000'),
  }
}

function send<T>(deps: OperatorDeps, method: string, path: string, body?: unknown): Promise<T> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const req = request(
      new URL(path, deps.url),
      {
        method,
        ca: deps.ca,
        // A connection each: the controller is killed and restarted under these tests.
        agent: false,
        timeout: 60_000,
        headers: {
          ...(deps.token !== '' && { authorization: `Bearer ${deps.token}` }),
          ...(text !== undefined && { 'content-type': 'application/json' }),
        },
      },
      (res) => {
        const parts: Buffer[] = []
        res.on('data', (part: Buffer) => parts.push(part))
        res.once('error', reject)
        res.once('end', () => {
          const answer = Buffer.concat(parts).toString()
          const status = res.statusCode ?? 0
          if (status >= 300) return reject(new Refused(status, answer))
          const isJson = /json/.test(res.headers['content-type'] ?? '')
          resolve((isJson ? JSON.parse(answer) : answer) as T)
        })
      },
    )
    req.once('timeout', () => req.destroy(new Error(`${method} ${path} took too long`)))
    req.once('error', reject)
    req.end(text)
  })
}
