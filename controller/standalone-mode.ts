import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { SidecarArtifact } from '../shared/api/bundle.ts'
import type { Clock } from '../shared/clock.ts'
import type { Log } from '../shared/log.ts'
import { poolRules } from './api/pool-rules.ts'
import { type Config, hostAndPort } from './config.ts'
import { alone } from './fleet/replicas.ts'
import type { Mesh } from './mesh/mesh.ts'
import type { StandaloneMeshDeps } from './mesh/standalone/standalone.ts'
import type { Metrics } from './metrics.ts'
import type { Mode } from './mode.ts'
import { createAuthorityFolder } from './pki/authority-folder.ts'
import { createAuditTable } from './store/audit-table.ts'
import { createDeclared } from './store/declared.ts'
import { createSqliteStore } from './store/sqlite.ts'

export interface StandaloneModeDeps {
  readonly config: Config
  readonly createMesh: (deps: StandaloneMeshDeps) => Promise<Mesh>
  readonly database: DatabaseSync
  readonly artifacts: () => readonly SidecarArtifact[]
  /** Name of this controller. */
  readonly instance: string
  /** Where VMs find istiod, unless the configuration says it. */
  readonly host: string
  /** Where procfs is mounted. */
  readonly proc: string
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/** A mesh of the controller's own, and a database beside it. */
export async function createStandaloneMode(deps: StandaloneModeDeps): Promise<Mode> {
  const { config, clock, log, metrics } = deps
  const { istiod, trustDomain, meshId, clusterId, network } = config.mesh
  const listen = hostAndPort(istiod.listen, 'mesh.istiod.listen')
  const store = createSqliteStore({
    database: deps.database,
    log,
    timing: {
      now: clock.now,
      took: (seconds) => metrics.observe('mooring_store_seconds', {}, seconds),
    },
  })
  const declared = await createDeclared(store)
  const mesh = await deps.createMesh({
    folder: join(config.dataDir, 'mesh'),
    istiodBinary: istiod.binary ?? '',
    // `[::]` means both families, as it does for the HTTPS listener.
    gate: { hosts: listen.host === '::' ? ['::', '0.0.0.0'] : [listen.host], port: listen.port },
    advertise: { address: istiod.address || deps.host, port: listen.port },
    trustDomain,
    meshId,
    clusterId,
    network,
    meshConfig: istiod.meshConfig,
    proxyConfig: config.sidecar.proxyConfig,
    istiodEnvironment: istiod.environment,
    sidecarEnvironment: config.sidecar.environment,
    certificateTtlSeconds: config.certificates.workloadTtlSeconds,
    artifacts: deps.artifacts,
    declared: declared.current,
    proc: deps.proc,
    clock,
    log: log.child({ part: 'mesh' }),
    random: deps.random,
  })

  return {
    store,
    inForce: store,
    mesh,
    auditSink: createAuditTable({ database: deps.database }),
    authority: createAuthorityFolder(join(config.dataDir, 'pki')),
    serviceNames: [],
    poolRules: poolRules('standalone'),
    replicas: alone(deps.instance),
    challengeKey: randomBytes(32),
    trustDomain,
    network: () => network,
    readiness: () => mesh.health(),
    async prepare() {},
    serve: (signal) => mesh.start(signal),
    lead: (work, signal) => work(signal),
    async close() {
      await mesh.close()
      declared.close()
      await store.close()
    },
  }
}
