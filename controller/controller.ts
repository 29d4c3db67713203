import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../shared/clock.ts'
import { errorText } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { createArtifactFolder } from './api/artifact-folder.ts'
import { createArtifacts } from './api/artifacts.ts'
import type { ReadinessPart } from './api/health.ts'
import { readTrustedKeys } from './api/trusted-keys.ts'
import { createAudit } from './audit.ts'
import { createAgents } from './auth/agents.ts'
import { createOperatorAccess } from './auth/operator-access.ts'
import { type Config, hostAndPort } from './config.ts'
import { createDelivery } from './delivery/delivery.ts'
import { createEffects, type EffectName } from './effects.ts'
import { createFleet, type Fleet } from './fleet/fleet.ts'
import { createChallenges } from './join/challenge.ts'
import { createJoin } from './join/join.ts'
import { createRate, istiodPerSecond, type Rate, unlimited } from './join/rate.ts'
import { createSerial } from './join/serial.ts'
import { createThrottle } from './join/throttle.ts'
import type { InCluster } from './kubernetes/cluster-access.ts'
import { createKubernetesMode } from './kubernetes-mode.ts'
import type { LineOutput } from './line-output.ts'
import { isDualStack } from './mesh/dual-stack.ts'
import type { Mesh } from './mesh/mesh.ts'
import type { StandaloneMeshDeps } from './mesh/standalone/standalone.ts'
import { createMetrics } from './metrics.ts'
import { controllerHosts, urlHost } from './network.ts'
import { createAuthority } from './pki/authority.ts'
import { createMountedCertificate } from './pki/mounted-certificate.ts'
import { createServerCertificate } from './pki/server-certificate.ts'
import { writeTrustFile } from './pki/trust-file.ts'
import { type ControllerServer, createServer } from './server.ts'
import { createStandaloneMode } from './standalone-mode.ts'
import { openDatabase } from './store/database.ts'
import { takeProcessLock } from './store/process-lock.ts'
import { keepSwept } from './store/sweep.ts'
import { createWriteCheck } from './store/write-check.ts'

export interface ControllerDeps {
  readonly config: Config
  /** Of the standalone mode. */
  readonly createMesh: (deps: StandaloneMeshDeps) => Promise<Mesh>
  /** The account of the pod that this runs in; absent where it is none. */
  readonly inCluster?: InCluster
  /** Ends what the start waits for. */
  readonly signal?: AbortSignal
  readonly hostname: string
  /** Addresses of this machine's network cards. */
  readonly addresses: readonly string[]
  /** How many processors this machine has; istiod's is taken to be alike. */
  readonly cores: number
  /** Where procfs is mounted. */
  readonly proc: string
  /** Of this process; what the configuration refers to is read from it. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  /** Where the record of the audit goes in the mesh of a cluster; absent: nowhere. */
  readonly auditLine?: LineOutput
  /** Called after each effect; for tests of crashes. */
  readonly afterEffect?: (name: EffectName) => void
  /** Something without which the controller is of no use failed for good. */
  readonly onFatal: (error: unknown) => void
}

/** What an operator needs to know of a controller that has started. */
export interface Announcement {
  readonly url: string
  readonly pin: string
  /** PEM. */
  readonly ca: string
  readonly caFile: string
  /** One-time code; there is one as long as nobody could let others in. */
  readonly enrolment?: string
}

export interface Controller {
  readonly server: ControllerServer
  readonly fleet: Fleet
  /** Resolves when it listens; the mesh may take longer, see `/readyz`. */
  start(): Promise<Announcement>
  /** Streams are told to come back later, requests under way end, then everything stops. */
  close(): Promise<void>
}

const noLine: LineOutput = async () => {}
const sweepMs = 60_000
const closeMs = 5_000

/** Everything of one controller, put together from top to bottom. */
export async function createController(deps: ControllerDeps): Promise<Controller> {
  const { config, clock, log, random } = deps
  const { dataDir, limits } = config
  const stop = new AbortController()
  const starting = AbortSignal.any([stop.signal, ...(deps.signal ? [deps.signal] : [])])
  const listen = hostAndPort(config.listen, 'listen')
  const hosts = controllerHosts({ ...deps, advertise: config.advertise, listenHost: listen.host })
  const [mainHost = 'localhost'] = hosts
  let fleetStarted = false
  /** What agents are told of it, once it listens. */
  let known = { url: '', pin: '' }
  let led = Promise.resolve()

  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const lock = takeProcessLock(join(dataDir, 'controller.lock'))
  const database = openDatabase({ file: join(dataDir, 'controller.sqlite') })
  const metrics = createMetrics()
  const effects = createEffects({ ...(deps.afterEffect && { after: deps.afterEffect }) })

  const pki = join(dataDir, 'pki')
  const writes = createWriteCheck({ database, folder: dataDir, clock })
  const trustedKeys = await readTrustedKeys(config.sidecar.trustedKeys)
  const kept = await createArtifactFolder({ folder: join(dataDir, 'artifacts'), clock, log })
  const artifacts = await createArtifacts({
    kept,
    files: config.sidecar.artifacts,
    cacheFile: join(dataDir, 'artifacts.json'),
    log,
  })
  const instance = config.instance || deps.hostname
  const shared = { config, instance, artifacts: artifacts.list, metrics, clock, log, random }
  const mode =
    config.mesh.mode === 'kubernetes'
      ? await createKubernetesMode(
          { ...shared, inCluster: deps.inCluster, auditLine: deps.auditLine ?? noLine },
          starting,
        )
      : await createStandaloneMode({
          ...shared,
          createMesh: deps.createMesh,
          database,
          host: mainHost,
          proc: deps.proc,
        })
  const { store, mesh, trustDomain } = mode
  const audit = createAudit({
    sink: mode.auditSink,
    clock,
    keep: limits.auditRecords,
    metrics,
  })
  const authority = await createAuthority({
    keep: mode.authority,
    clock,
    log: log.child({ part: 'authority' }),
    random,
    signal: starting,
  })
  const mounted = config.certificates.serverFolder
  const certificate =
    mounted === ''
      ? await createServerCertificate({
          folder: pki,
          authority,
          clock,
          log,
          hosts: [...new Set([...hosts, ...mode.serviceNames])],
        })
      : await createMountedCertificate({ folder: mounted, clock, log })

  const fleet = createFleet({
    store: mode.inForce,
    mesh,
    clock,
    log: log.child({ part: 'fleet' }),
    audit,
    effects,
    metrics,
    instance,
    replicas: mode.replicas,
    settings: {
      reconnectWindowMs: config.fleet.reconnectWindowSeconds * 1000,
      resyncMs: config.fleet.resyncSeconds * 1000,
      tokenTtlSeconds: config.certificates.tokenTtlSeconds,
      parallel: config.fleet.parallel,
    },
    random,
  })

  const { operators, certificates, ...operatorAccess } = await createOperatorAccess({
    ...{ store, authority, trustDomain, clock, options: config.operators },
    reviews: mode.reviews,
    log: log.child({ part: 'operators' }),
  })
  const agents = createAgents({ store, clock, trustDomain })
  const challenges = createChallenges({ clock, key: mode.challengeKey })
  const serial = createSerial()
  const throttle = createThrottle({
    places: limits.joinsAtOnce,
    waiting: limits.joinsWaiting,
    rate: joinRate(),
    clock,
    random,
    changed: (waiting) => metrics.set('mooring_joins_waiting', {}, waiting),
  })
  const admit = createJoin({
    store: mode.inForce,
    fleet,
    authority,
    challenges,
    throttle,
    serial,
    controllerCa: certificate.trusted,
    clock,
    log: log.child({ part: 'join' }),
    audit,
    effects,
    metrics,
    settings: {
      trustDomain,
      get network() {
        return mode.network()
      },
      agentCertificateMs: config.certificates.agentTtlSeconds * 1000,
      dualStack: isDualStack(config.sidecar),
      workloadMs: (config.certificates.tokenTtlSeconds + config.certificates.workloadTtlSeconds) * 1000,
      deadlineMs: limits.joinSeconds * 1000,
    },
  })

  const injections = createDelivery({
    ...{ store, audit, clock, log, random, dataDir, environment: deps.environment ?? {} },
    config: config.injection,
    controller: () => known,
  })

  const server = await createServer({
    credentials: certificate.current,
    agentCa: () => authority.trusted,
    gate: { ...operatorAccess, agents, audit, metrics },
    limits: {
      failuresPerMinute: limits.failuresPerMinute,
      connections: limits.connections,
      headersMs: limits.headerSeconds * 1000,
      requestMs: limits.requestSeconds * 1000,
      idleMs: limits.idleSeconds * 1000,
    },
    metrics,
    log: log.child({ part: 'server' }),
    random,
    routes: {
      join: { challenges, join: admit, perMinute: limits.joinRequestsPerMinute },
      bundle: { fleet, signal: stop.signal },
      stream: { fleet },
      sidecar: { artifacts },
      injections: { injections, audit },
      artifacts: { artifacts, kept, trustedKeys, store, fleet, audit },
      operators: { operators, certificates, audit, enrolmentsPerMinute: limits.enrolmentsPerMinute },
      pools: {
        ...{ store, fleet, serial, rules: mode.poolRules, artifacts: artifacts.list, audit, clock },
        conditions: mode.poolConditions,
      },
      tokens: { store, audit, clock },
      vms: { fleet, audit },
      events: { fleet, ...operatorAccess, clock, most: limits.watchers, signal: stop.signal },
      audit: { audit },
      health: { readiness, metrics },
    },
  })
  metrics.onRead(() => {
    for (const { part, ok } of mesh.health()) metrics.set('mooring_mesh_part_ok', { part }, ok ? 1 : 0)
  })

  async function readiness(): Promise<readonly ReadinessPart[]> {
    return [
      ...(await writes.look()),
      { part: 'fleet', ok: fleetStarted, detail: fleetStarted ? 'reconciles' : 'is starting' },
      ...mode.readiness(),
    ]
  }

  function joinRate(): Rate {
    const asked = limits.joinsPerSecond
    if (asked === 0 && config.mesh.mode === 'standalone') return unlimited
    const all = asked || istiodPerSecond(deps.cores)
    return createRate({ clock, perSecond: () => all / mode.replicas.count() })
  }

  /** For new connections; the agents' streams go on as they are. */
  function trustChanged(): void {
    server.refresh()
    writeTrustFile(pki, certificate.trusted()).catch((error: unknown) => {
      log.error('the file of what agents trust was not written', { error: errorText(error) })
    })
  }

  function authorityChanged(): void {
    trustChanged()
    certificate.authorityChanged()
  }

  /** Runs beside everything else until the controller stops. */
  function beside(what: string, work: Promise<unknown>): Promise<void> {
    return work.then(
      () => {},
      (error: unknown) => {
        if (stop.signal.aborted) return
        log.error('a part of the controller failed', { what, error: errorText(error) })
        deps.onFatal(error)
      },
    )
  }

  /** What one replica does for all. */
  async function leading(signal: AbortSignal): Promise<void> {
    const sweep = keepSwept({ store, clock, log, keepLeft: limits.leftVms, everyMs: sweepMs }, signal)
    // The sweep ends by the signal; the lead is given away when the fleet has ended what it began.
    await Promise.allSettled([fleet.lead(signal), sweep])
  }

  return {
    server,
    fleet,
    async start() {
      await mode.prepare(fleet, starting)
      await fleet.start(starting)
      fleetStarted = true
      beside('mesh', mode.serve(stop.signal))
      const port = await server.listen(listen.host, listen.port)
      fleet.opened()
      led = beside('leading', mode.lead(leading, stop.signal))
      beside('server certificate', certificate.keepFresh(trustChanged, stop.signal))
      beside('authority', authority.follow(authorityChanged, stop.signal))
      const url = `https://${urlHost(mainHost)}:${port}`
      const { pin } = certificate.pins()
      log.info('controller listens', { url, pin })
      known = { url, pin }
      return {
        url,
        pin,
        ca: certificate.trusted(),
        caFile: await writeTrustFile(pki, certificate.trusted()),
        ...((await operators.needEnrolment()) && { enrolment: (await operators.newEnrolment()).code }),
      }
    },
    async close() {
      stop.abort()
      await injections.close()
      // First: whoever leads next takes over while the agents go there.
      await led
      await fleet.close()
      const impatience = new AbortController()
      clock.sleep(closeMs, impatience.signal).then(
        () => server.app.server.closeAllConnections(),
        () => {},
      )
      await server.close()
      impatience.abort()
      await mode.close()
      if (database.isOpen) database.close()
      lock.release()
    },
  }
}
