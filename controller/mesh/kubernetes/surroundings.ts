import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { KubernetesObject } from '../../kubernetes/resource.ts'
import type { PoolRecord } from '../../store/records.ts'
import { canonical } from '../objects.ts'
import {
  type ClusterFacts,
  clusterFacts,
  type FactFinding,
  type FactSettings,
  revisionName,
  revisionSuffix,
} from './mesh-facts.ts'
import { existingService, type ReferredService } from './pool-faults.ts'
import { configMapType, namespaceType, serviceType } from './resource-types.ts'

/** What others have put into the cluster and VMs or pools depend on, read again and again. */
export interface Surroundings {
  /** Of a revision of istiod, or of the mesh's own; one that was not looked at yet is, soon. */
  facts(revision?: string): FactFinding
  services(): ReadonlyMap<string, ReferredService | null>
  /** Reads once; throws when the API server cannot be asked. */
  look(signal: AbortSignal): Promise<void>
  /** Reads until aborted. */
  follow(signal: AbortSignal): Promise<void>
  /** Why the last look did not succeed. */
  fault(): string | undefined
}

export interface SurroundingsDeps {
  readonly client: Client
  readonly settings: FactSettings
  readonly pools: () => ReadonlyMap<string, PoolRecord>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly everyMs: number
  /** Called when a look found something else than the one before. */
  readonly changed: () => void
}

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>
}
interface Service extends KubernetesObject {
  readonly spec?: { readonly selector?: Readonly<Record<string, string>> }
}

/**
 * Looks instead of watching: these are a handful of objects by name, for which `get` is all the permission needed,
 * and they change a few times a year.
 */
export function createSurroundings(deps: SurroundingsDeps): Surroundings {
  const { client, settings, clock, log, everyMs, random } = deps
  const { istioNamespace: namespace } = settings
  const own = revisionName(settings.revision)
  /** By the name of the revision. */
  let findings: ReadonlyMap<string, FactFinding> = new Map()
  let services: ReadonlyMap<string, ReferredService | null> = new Map()
  let fault: string | undefined
  let bell = Promise.withResolvers<void>()

  async function readText(name: string, key: string, signal: AbortSignal) {
    const found = await client.get<ConfigMap>(configMapType, { namespace, name }, { signal })
    const value = found?.data?.[key]
    return typeof value === 'string' ? value : undefined
  }

  async function readShared(signal: AbortSignal) {
    const [rootCertificates, istio, gateways] = await Promise.all([
      // Istiod writes the same into every namespace (istio security/pkg/k8s/controller, NamespaceController).
      readText('istio-ca-root-cert', 'root-cert.pem', signal),
      settings.network === undefined ? client.get(namespaceType, { name: namespace }, { signal }) : undefined,
      settings.address === undefined
        ? client.list(serviceType, { namespace, labels: 'istio=eastwestgateway' }, { signal })
        : undefined,
    ])
    const network = istio?.metadata.labels?.['topology.istio.io/network']
    return { rootCertificates, network, gateways: gateways?.items ?? [] }
  }

  async function readOf(
    revision: string,
    shared: Awaited<ReturnType<typeof readShared>>,
    signal: AbortSignal,
  ): Promise<FactFinding> {
    const suffix = revisionSuffix(revision)
    const [meshConfig, injectorValues] = await Promise.all([
      readText(`istio${suffix}`, 'mesh', signal),
      readText(`istio-sidecar-injector${suffix}`, 'values', signal),
    ])
    return clusterFacts({ ...shared, meshConfig, injectorValues }, settings, revision)
  }

  async function readAll(signal: AbortSignal): Promise<ReadonlyMap<string, FactFinding>> {
    const shared = await readShared(signal)
    const found = new Map([[own, await readOf(own, shared, signal)]])
    for (const { spec } of deps.pools().values()) {
      const revision = revisionName(spec.revision ?? own)
      if (found.has(revision)) continue
      // One that may not be read must not keep the others from being followed.
      const finding = await readOf(revision, shared, signal).catch((error: unknown) => {
        if (!isMooringError(error, 'KUBERNETES_FORBIDDEN')) throw error
        const { rootNamespace } = found.get(own) as FactFinding
        return { facts: undefined, rootNamespace, missing: [errorText(error)] }
      })
      found.set(revision, finding)
    }
    return found
  }

  async function readServices(signal: AbortSignal) {
    const found = new Map<string, ReferredService | null>()
    for (const { spec } of deps.pools().values()) {
      const key = existingService(spec)
      if (key === undefined || found.has(key)) continue
      const name = key.slice(spec.namespace.length + 1)
      const service = await client.get<Service>(serviceType, { namespace: spec.namespace, name }, { signal })
      found.set(key, service === undefined ? null : { selector: service.spec?.selector })
    }
    return found
  }

  async function look(signal: AbortSignal): Promise<void> {
    const before = [[...findings], [...services]]
    const found = await readAll(signal)
    const kept = [...found].map(([revision, now]) => {
      const known = findings.get(revision)
      for (const what of now.missing) {
        if (!known?.missing.includes(what)) log.warn('the mesh is not complete in the cluster', { what })
      }
      // What VMs run with stays as it was when it is gone from the cluster: an Istio that is being installed anew.
      return [revision, { ...now, facts: keptFacts(now.facts, known?.facts) }] as const
    })
    findings = new Map(kept)
    services = await readServices(signal)
    if (canonical(before) !== canonical([[...findings], [...services]])) deps.changed()
  }

  return {
    facts(revision = own) {
      const finding = findings.get(revisionName(revision))
      if (finding !== undefined) return finding
      const first = findings.get(own)
      if (first === undefined)
        throw new MooringError('MESH_UNAVAILABLE', { detail: 'the cluster was not read yet' })
      bell.resolve()
      const missing = [`revision ${revision} was not looked at yet`]
      return { facts: undefined, rootNamespace: first.rootNamespace, missing }
    },
    services: () => services,
    look,
    async follow(signal) {
      const pause = createBackoff({
        floorMs: 0.75 * everyMs,
        baseMs: 1.25 * everyMs,
        maxMs: 1.25 * everyMs,
        random,
      })
      while (!signal.aborted) {
        const over = new AbortController()
        const either = AbortSignal.any([signal, over.signal])
        await Promise.race([clock.sleep(pause.next(), either).catch(() => {}), bell.promise])
        over.abort()
        bell = Promise.withResolvers<void>()
        if (signal.aborted) return
        try {
          await look(signal)
          fault = undefined
        } catch (error) {
          if (signal.aborted) return
          const text = errorText(error)
          if (fault !== text) log.warn('the mesh cannot be read from the cluster', { error: text })
          fault = text
          // Not at once again for what rang the bell.
          await clock.sleep(pause.next(), signal).catch(() => {})
        }
      }
    },
    fault: () => fault,
  }
}

/** An address that is gone, of a gateway that is replaced, must not go out to VMs as none. */
function keptFacts(
  now: ClusterFacts | undefined,
  before: ClusterFacts | undefined,
): ClusterFacts | undefined {
  if (now === undefined || before === undefined || now.istiod.address !== '') return now ?? before
  const { address, port } = before.istiod
  return { ...now, istiod: { ...now.istiod, address, port } }
}
