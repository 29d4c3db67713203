import { createAudit } from '../../../controller/audit.ts'
import { createEffects, type EffectName } from '../../../controller/effects.ts'
import { createFleet, type Fleet, type FleetSettings } from '../../../controller/fleet/fleet.ts'
import type { MeshMode } from '../../../controller/mesh/mesh.ts'
import { createMetrics } from '../../../controller/metrics.ts'
import { createAuditTable } from '../../../controller/store/audit-table.ts'
import { openDatabase } from '../../../controller/store/database.ts'
import type { PoolRecord, VmRecord } from '../../../controller/store/records.ts'
import { createSqliteStore } from '../../../controller/store/sqlite.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import type { AgentStatus, Up } from '../../../shared/api/stream.ts'
import { next } from '../../../shared/lifecycle.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeClock } from '../../fakes/clock.ts'
import { createFakeMesh } from '../../fakes/mesh.ts'
import { type TestSocket, testSocket } from '../../fakes/stream-socket.ts'

export const webSpec: PoolSpec = {
  namespace: 'shop',
  serviceAccount: 'web',
  service: {
    host: 'web.shop.internal',
    ports: [{ name: 'http', number: 80, target: 8080, protocol: 'HTTP' }],
  },
  join: { methods: ['token'], cidrs: ['10.0.0.0/8'] },
}

/** An agent as the wire contract describes it: drains when told, and repeats what has no answer yet. */
export interface TestAgent {
  readonly vm: string
  status: AgentStatus
  bootId: string
  /** Whether it answers `drain`. */
  obeys: boolean
  readonly socket: TestSocket | undefined
  readonly saidBye: boolean
  connect(): TestSocket
  say(message: Up): void
  report(changes: Partial<AgentStatus>): void
}

export interface FleetWorldOptions {
  readonly settings?: FleetSettings
  /** Whose mesh it is. @defaultValue the controller's own */
  readonly mode?: MeshMode
  /** Called after each effect; what it throws ends the controller there. */
  readonly afterEffect?: (name: EffectName) => void
}

/** A fleet over a real store, with mesh, agents and time in the test's hand. */
export function createFleetWorld(options: FleetWorldOptions = {}) {
  const clock = createFakeClock()
  const database = openDatabase({ file: ':memory:' })
  const store = createSqliteStore({ database, log: silentLog })
  const mesh = createFakeMesh({ clock, ...(options.mode && { mode: options.mode }) })
  const audit = createAudit({ sink: createAuditTable({ database }), clock })
  const never = new AbortController().signal
  const agents = new Map<string, TestAgent>()
  let life = { dead: false }
  let starts = 0
  let metrics = createMetrics()
  let fleet = begin()

  /** What a dead controller asks for never comes. */
  function mortal<T extends object>(target: T, of: { dead: boolean }): T {
    return new Proxy(target, {
      get(object, name) {
        const value: unknown = Reflect.get(object, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) =>
          of.dead ? new Promise(() => {}) : (value as (...args: unknown[]) => unknown).apply(object, args)
      },
    })
  }

  function begin(): Fleet {
    const own = { dead: false }
    life = own
    starts += 1
    metrics = createMetrics()
    const { afterEffect } = options
    return createFleet({
      store: mortal(store, own),
      mesh: mortal(mesh, own),
      clock,
      log: silentLog,
      audit,
      metrics,
      effects: createEffects({
        after: (name) => {
          if (!own.dead) afterEffect?.(name)
        },
      }),
      instance: `controller-${starts}`,
      // Hours pass in these stories, and nothing in them stands still.
      settings: { resyncMs: 3_600_000, listeningPeriodMs: 600_000, ...options.settings },
      random: () => 0.5,
    })
  }

  async function rest(): Promise<void> {
    // Idle means no work is queued; a few more turns let what it started end.
    for (let quiet = 0; quiet < 3; ) {
      await clock.advance(0)
      quiet = fleet.idle || life.dead ? quiet + 1 : 0
    }
  }

  function agentOf(vm: string, changes: Partial<Pick<TestAgent, 'obeys' | 'bootId'>> = {}): TestAgent {
    const known = agents.get(vm)
    if (known !== undefined) return known
    let socket: TestSocket | undefined
    let saidBye = false
    let hasLeft = false
    const agent: TestAgent = {
      vm,
      status: { health: 'unknown', conditions: [], bundleRevision: '', sidecarRestarts: 0 },
      bootId: 'boot-1',
      obeys: true,
      ...changes,
      get socket() {
        return socket
      },
      get saidBye() {
        return saidBye
      },
      connect() {
        const fresh = testSocket()
        socket = fresh
        fresh.onDown((message) => {
          if (message.kind === 'bye') saidBye = true
          if (message.kind === 'welcome' && hasLeft) fresh.say({ kind: 'left' })
          if (message.kind === 'drain' && agent.obeys) {
            fresh.say({ kind: 'drained', result: 'quiet', openRequests: 0, openConnections: 0 })
            if (message.after === 'hold') return
            hasLeft = true
            fresh.say({ kind: 'left' })
          }
        })
        const certificateUntil = clock.now() + 86_400_000
        fleet.attach(fresh, { vm, keyThumbprint: `key of ${vm}`, address: '10.0.0.9', certificateUntil })
        fresh.say({
          kind: 'hello',
          wire: 1,
          agentVersion: '0.1.0',
          bootId: agent.bootId,
          status: agent.status,
        })
        return fresh
      },
      say: (message) => socket?.say(message),
      report(changes) {
        agent.status = { ...agent.status, ...changes }
        socket?.say({ kind: 'status', status: agent.status })
      },
    }
    agents.set(vm, agent)
    return agent
  }

  const world = {
    clock,
    store,
    mesh,
    audit,
    get fleet() {
      return fleet
    },
    get metrics() {
      return metrics
    },
    /** Waits until the fleet has nothing left to do now. */
    rest,
    /** Waits, without time passing, until something is the case. */
    async until(isSo: () => boolean): Promise<void> {
      while (!isSo()) await clock.advance(0)
    },
    agent: agentOf,
    /** The controller is gone without a word, with all its streams. */
    kill() {
      life.dead = true
      for (const agent of agents.values()) agent.socket?.hangUp()
    },
    /** A new controller over what the old one left behind. */
    async restart(): Promise<void> {
      if (!life.dead) world.kill()
      fleet = begin()
      await fleet.start(never)
    },
    get isDead() {
      return life.dead
    },
    async putPool(name: string, spec: PoolSpec = webSpec): Promise<void> {
      const stored = await store.get('pool', name)
      const now = clock.now()
      const value: PoolRecord = { spec, createdAt: stored?.value.createdAt ?? now, updatedAt: now }
      await store.commit([{ put: 'pool', name, value, ...(stored && { version: stored.version }) }])
    },
    async removePool(name: string): Promise<void> {
      await store.commit([{ remove: 'pool', name }])
    },
    /** Writes what an admission writes; `evicted` loses its address to the new one in the same commit. */
    async admit(vm: string, changes: Partial<VmRecord> = {}, evicted?: string): Promise<void> {
      const now = clock.now()
      const loser = evicted === undefined ? undefined : await store.get('vm', evicted)
      const left = loser && { ...loser.value, phase: next(loser.value.phase, 'leave'), phaseSince: now }
      const stored = await store.get('vm', vm)
      const value: VmRecord = {
        pool: 'web',
        method: 'token',
        keyThumbprint: `key of ${vm}`,
        address: `10.0.0.${vm.replace(/\D/g, '')}`,
        hostname: vm,
        arch: 'amd64',
        nics: [],
        bootId: 'boot-1',
        admittedAt: now,
        createdAt: now,
        phase: 'joining',
        phaseSince: now,
        health: 'unknown',
        conditions: [],
        lastSeenAt: now,
        certificateExpiresAt: now + 86_400_000,
        workloadCertificateUntil: now,
        agentVersion: '0.1.0',
        sidecarRestarts: 0,
        bundleRevision: '',
        facts: {},
        ...changes,
      }
      await store.commit([
        ...(loser && left
          ? [{ put: 'vm', name: loser.name, value: left, version: loser.version } as const]
          : []),
        { put: 'vm', name: vm, value, ...(stored && { version: stored.version }) },
      ])
    },
    async record(vm: string): Promise<VmRecord | undefined> {
      return (await store.get('vm', vm))?.value
    },
    async phase(vm: string): Promise<string | undefined> {
      return (await world.record(vm))?.phase
    },
    /** Admits, connects and makes healthy; resolves when it serves. */
    async serve(vm: string, changes: Partial<VmRecord> = {}): Promise<TestAgent> {
      await world.admit(vm, changes)
      await fleet.settle(vm, never)
      const agent = agentOf(vm)
      agent.connect()
      agent.report({ health: 'healthy' })
      await rest()
      return agent
    },
    /** Time passes, and the agents of these VMs send their heartbeats. */
    async beat(vms: readonly string[], ms: number, everyMs = 1_000): Promise<void> {
      for (let passed = 0; passed < ms; passed += everyMs) {
        for (const vm of vms) agentOf(vm).say({ kind: 'heartbeat' })
        await clock.advance(Math.min(everyMs, ms - passed))
        await rest()
      }
    },
    never,
    async close(): Promise<void> {
      if (!life.dead) await fleet.close()
      await store.close()
    },
  }
  return world
}

export type FleetWorld = ReturnType<typeof createFleetWorld>
