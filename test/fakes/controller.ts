import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../controller/config.ts'
import { type Announcement, type Controller, createController } from '../../controller/controller.ts'
import type { EffectName } from '../../controller/effects.ts'
import type { OperatorCreated, PoolSpec, TokenCreated, VmView } from '../../shared/api/operator.ts'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { createLog, type LogLevel } from '../../shared/log.ts'
import {
  AgentRefused,
  type Answer,
  createFakeAgent,
  type FakeAgent,
  type FakeAgentOptions,
  send,
} from './agent.ts'
import { createFakeMesh, type FakeMesh, fakeFacts } from './mesh.ts'

export interface TestControllerOptions {
  /** Over the defaults of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly clock?: Clock
  /** Kept by who gives it; else made, and removed at the end. */
  readonly dataDir?: string
  readonly afterEffect?: (name: EffectName) => void
  readonly logLevel?: LogLevel
  /** An administrator's token from an earlier start over the same data. */
  readonly admin?: string
}

/** A whole controller in this process, on a loopback port with real TLS, over a mesh in memory. */
export interface TestController {
  readonly controller: Controller
  readonly mesh: FakeMesh
  readonly url: string
  readonly announcement: Announcement
  readonly dataDir: string
  /** The administrator's token. */
  readonly admin: string
  /** A request with a bearer token; the administrator's when none is given, no credential for `''`. */
  call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    options?: { readonly token?: string; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<Answer<T>>
  applyPool(name: string, spec?: Partial<PoolSpec>): Promise<void>
  token(
    pool: string,
    options?: { readonly uses?: number; readonly ttlSeconds?: number },
  ): Promise<TokenCreated>
  agent(options: Omit<FakeAgentOptions, 'url' | 'ca'>): Promise<FakeAgent>
  vms(): Promise<readonly VmView[]>
  /** Stops it and starts another one over the same data. */
  restart(): Promise<TestController>
  close(): Promise<void>
}

/** A pool that agents on loopback can join, with an address of their own saying. */
export const loopbackPool: PoolSpec = {
  namespace: 'default',
  serviceAccount: 'web',
  join: { methods: ['token', 'renew'], cidrs: ['127.0.0.0/8'] },
  address: { cidr: '10.0.0.0/8' },
  // A machine that stalls for some seconds loses no VM; who tests a loss sets less.
  liveness: { heartbeatSeconds: 2, lostAfterSeconds: 60 },
}

export async function startController(options: TestControllerOptions = {}): Promise<TestController> {
  const { clock = systemClock } = options
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'mooring-controller-'))
  const config = readConfig(
    JSON.stringify({
      listen: '127.0.0.1:0',
      dataDir,
      mesh: { istiod: { binary: '/bin/true' } },
      ...options.config,
    }),
    {},
  )
  const mesh = createFakeMesh({ clock })
  const controller = await createController({
    config,
    createMesh: async (deps) => {
      mesh.meshFacts = {
        ...fakeFacts,
        trustDomain: deps.trustDomain,
        get artifacts() {
          return deps.artifacts()
        },
      }
      return mesh
    },
    hostname: 'test',
    addresses: [],
    cores: 2,
    proc: '/proc',
    clock,
    log: createLog({ level: options.logLevel ?? 'silent' }),
    random: Math.random,
    ...(options.afterEffect && { afterEffect: options.afterEffect }),
    onFatal: (error) => {
      throw error
    },
  })
  const announcement = await controller.start()
  const { url, ca } = announcement
  const connections = new Agent({ keepAlive: true, maxSockets: 64 })
  let admin = options.admin ?? ''
  let isClosed = false

  async function stop(): Promise<void> {
    if (isClosed) return
    isClosed = true
    connections.destroy()
    await controller.close()
  }

  const house: TestController = {
    controller,
    mesh,
    url,
    announcement,
    dataDir,
    get admin() {
      return admin
    },
    call: (method, path, body, { token = admin, headers = {} } = {}) =>
      send(url, { ca, agent: connections }, method, path, body, {
        ...(token !== '' && { authorization: `Bearer ${token}` }),
        ...headers,
      }),
    async applyPool(name, spec = {}) {
      await done(house.call('PUT', `/v1/pools/${name}`, { ...loopbackPool, ...spec }))
    },
    async token(pool, wish = {}) {
      return (await done(house.call<TokenCreated>('POST', '/v1/tokens', { pool, ...wish }))).json()
    },
    agent: (agent) => createFakeAgent({ url, ca, connections, ...agent }),
    async vms() {
      return (await done(house.call<VmView[]>('GET', '/v1/vms'))).json()
    },
    async restart() {
      await stop()
      return startController({ ...options, dataDir, admin })
    },
    async close() {
      await stop()
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true })
    },
  }
  if (admin === '') admin = await enrolled(house)
  return house
}

async function enrolled(house: TestController): Promise<string> {
  const code = house.announcement.enrolment
  const answer = house.call<OperatorCreated>('POST', '/v1/enrol', { code, name: 'admin' }, { token: '' })
  return (await done(answer)).json().token
}

async function done<T>(answer: Promise<Answer<T>>): Promise<Answer<T>> {
  const settled = await answer
  if (settled.status >= 300) throw new AgentRefused(settled)
  return settled
}
