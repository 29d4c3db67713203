import type { SidecarArtifact } from '../shared/api/bundle.ts'
import type { Clock } from '../shared/clock.ts'
import { MooringError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { poolRules } from './api/pool-rules.ts'
import { createReviews } from './auth/kubernetes/reviews.ts'
import { type Config, hostAndPort } from './config.ts'
import type { Fleet } from './fleet/fleet.ts'
import { withDeadline } from './join/deadline.ts'
import { type ClusterAccess, type InCluster, openCluster } from './kubernetes/cluster-access.ts'
import { createLeaseReplicas } from './kubernetes/lease-replicas.ts'
import { sharedKey } from './kubernetes/shared-key.ts'
import type { LineOutput } from './line-output.ts'
import { createKubernetesMesh, type MeshEvent } from './mesh/kubernetes/kubernetes.ts'
import type { FactSettings } from './mesh/kubernetes/mesh-facts.ts'
import { createPoolConditions } from './mesh/kubernetes/pool-conditions.ts'
import type { Metrics } from './metrics.ts'
import type { Mode } from './mode.ts'
import { createAuthoritySecret } from './pki/authority-secret.ts'
import { createAuditPages } from './store/audit-pages.ts'
import { createGroupedPools } from './store/grouped-pools.ts'
import { createKubernetesStore, type KubernetesStoreDeps } from './store/kubernetes/store.ts'

export interface KubernetesModeDeps {
  readonly config: Config
  /** Absent outside of a pod. */
  readonly inCluster: InCluster | undefined
  /** Name of this machine or pod. */
  readonly instance: string
  readonly artifacts: () => readonly SidecarArtifact[]
  /** Where the record of the audit goes. */
  readonly auditLine: LineOutput
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/** Of all replicas, beside their logs; a megabyte or two in etcd. */
const mostAuditRecords = 20_000
/** How long everything of ours in the cluster may take to be read at the start. */
const listedWithinMs = 60_000

/**
 * The mesh of a cluster, whose API server keeps the resources as well. Waits for the API server until aborted; throws
 * `MESH_FACTS_MISSING` where Istio is not installed.
 */
export async function createKubernetesMode(deps: KubernetesModeDeps, signal: AbortSignal): Promise<Mode> {
  const { config, clock, log, random, metrics } = deps
  const { namespaces, release } = config.mesh.kubernetes
  const { audiences } = config.operators.kubernetes
  const opened: (() => unknown)[] = []
  const close = async () => {
    for (const end of opened.toReversed()) await end()
  }

  try {
    const cluster = await openCluster({ ...config.mesh.kubernetes, inCluster: deps.inCluster, clock })
    opened.push(cluster.close)
    const rules = poolRules('kubernetes', namespaces)
    const replicas = createLeaseReplicas({
      client: cluster.store,
      namespace: cluster.namespace,
      release,
      instance: deps.instance,
      isCurrent: () => store.health().every(({ ok }) => ok),
      clock,
      log,
      random,
    })
    const store = await openStore(
      cluster,
      { rules, namespaces, speaks: replicas.leads, clock, log, random, timing: timing(metrics) },
      signal,
    )
    opened.push(store.close, replicas.leave)
    const key = { namespace: cluster.namespace, name: `${release}-challenges` }
    const challengeKey = await sharedKey(cluster.store, key, signal)
    const pools = await createGroupedPools({
      store,
      group: (namespace, name) => mesh?.group(namespace, name),
      check: (name, spec) => rules(name, spec, new Map()),
      log,
    })
    opened.push(pools.close)
    const audit = createAuditPages({
      ...{ client: cluster.store, namespace: cluster.namespace, release, line: deps.auditLine },
      ...{ clock, log: log.child({ part: 'audit' }), random },
      mostRecords: Math.min(config.limits.auditRecords, mostAuditRecords),
    })
    const auditEnd = new AbortController()
    const auditing = audit.run(auditEnd.signal)
    opened.push(async () => {
      auditEnd.abort()
      await auditing
    })
    let mesh: Awaited<ReturnType<typeof createKubernetesMesh>> | undefined
    const made = await createKubernetesMesh(
      {
        client: cluster.mesh,
        owner: `${cluster.namespace}/${release}`,
        namespaces,
        settings: factSettings(config),
        pools: pools.current,
        artifacts: deps.artifacts,
        clock,
        log: log.child({ part: 'mesh' }),
        random,
      },
      signal,
    )
    mesh = made
    opened.push(made.close)
    const conditions = createPoolConditions({
      client: cluster.mesh,
      pools: pools.current,
      faults: made.faults,
      clock,
      log,
      random,
    })

    const follow = (fleet: Fleet) => (event: MeshEvent) => {
      if (event.about === 'object') return fleet.observed(event.ref, event.object)
      if (event.about === 'group') pools.groupChanged(event.namespace, event.name)
      conditions.look()
      if (event.about === 'group') return
      fleet.surroundingsChanged()
    }

    return {
      store,
      inForce: pools.store,
      mesh: made,
      auditSink: audit,
      authority: createAuthoritySecret({
        client: cluster.store,
        namespace: cluster.namespace,
        release,
        clock,
        log: log.child({ part: 'authority' }),
        random,
      }),
      serviceNames: serviceNames(release, cluster.namespace),
      ...(audiences.length > 0 && { reviews: createReviews({ client: cluster.store, audiences, clock }) }),
      poolRules: rules,
      poolConditions: store.poolConditions,
      replicas,
      challengeKey,
      trustDomain: made.facts().trustDomain,
      network: () => made.facts().network,
      // Without its API server a controller goes on serving the agents that it knows, and so do its replicas.
      readiness: () =>
        [
          ...store.health().map(({ part, ok, detail }) => ({ part: `store of ${part}`, ok, detail })),
          ...made.health(),
          { part: 'replicas', ...replicas.health() },
        ].map((part) => ({ ...part, needed: false })),
      async prepare(fleet, aborted) {
        await replicas.join(aborted)
        await withDeadline(clock, listedWithinMs, 'reading the mesh', () => made.start(aborted)).catch(
          (error: unknown) => {
            aborted.throwIfAborted()
            const faults = made.health().filter(({ ok }) => !ok)
            const detail = faults.map((fault) => fault.detail).join('; ')
            throw new MooringError('MESH_UNAVAILABLE', { detail, cause: error })
          },
        )
        opened.push(made.subscribe(follow(fleet)))
        store.onChange((kind) => {
          if (kind === 'pool') conditions.look()
        })
      },
      // Mesh and store are followed since the preparation.
      async serve() {},
      async lead(work, aborted) {
        const all = async (term: AbortSignal) => {
          store.speak()
          await Promise.all([work(term), conditions.run(term)])
        }
        await replicas.run(all, aborted)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The store alone, for a command that needs no mesh; it says nothing about pools. */
export async function openClusterStore(
  deps: Pick<KubernetesModeDeps, 'config' | 'inCluster' | 'clock' | 'log' | 'random'>,
  signal: AbortSignal,
) {
  const { config, inCluster, clock, log, random } = deps
  const cluster = await openCluster({ ...config.mesh.kubernetes, inCluster, clock })
  try {
    const { namespaces } = config.mesh.kubernetes
    const rules = poolRules('kubernetes', namespaces)
    const store = await openStore(
      cluster,
      { rules, namespaces, speaks: () => false, clock, log, random },
      signal,
    )
    return {
      ...store,
      async close() {
        await store.close()
        cluster.close()
      },
    }
  } catch (error) {
    cluster.close()
    throw error
  }
}

function openStore(
  cluster: ClusterAccess,
  deps: Omit<KubernetesStoreDeps, 'client' | 'namespace'>,
  signal: AbortSignal,
) {
  return createKubernetesStore({ ...deps, client: cluster.store, namespace: cluster.namespace }, signal)
}

/** As the cluster's DNS has the controller's Service, which is named after the installation. */
function serviceNames(release: string, namespace: string): readonly string[] {
  const name = `${release}.${namespace}`
  return [release, name, `${name}.svc`, `${name}.svc.cluster.local`]
}

function timing(metrics: Metrics) {
  return { took: (seconds: number) => metrics.observe('mooring_store_seconds', {}, seconds) }
}

function factSettings({ mesh, sidecar, certificates }: Config): FactSettings {
  const { istioNamespace, revision, istiodAddress, istiodAddresses, clusterId } = mesh.kubernetes
  const place = (text: string, field: string) => {
    const { host, port } = hostAndPort(text, `mesh.kubernetes.${field}`)
    return { address: host, port }
  }
  return {
    istioNamespace,
    revision,
    address: istiodAddress === '' ? undefined : place(istiodAddress, 'istiodAddress'),
    addresses: Object.fromEntries(
      Object.entries(istiodAddresses).map(([name, text]) => [name, place(text, `istiodAddresses.${name}`)]),
    ),
    clusterId: clusterId || undefined,
    network: mesh.network || undefined,
    proxyConfig: sidecar.proxyConfig,
    environment: sidecar.environment,
    certificateTtlSeconds: certificates.workloadTtlSeconds,
  }
}
