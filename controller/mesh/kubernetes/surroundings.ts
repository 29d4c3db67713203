import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
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
  revisionSuffix,
} from './mesh-facts.ts'
import { existingService, type ReferredService } from './pool-faults.ts'
import { configMapType, namespaceType, serviceType } from './resource-types.ts'

/** What others have put into the cluster and VMs or pools depend on, read again and again. */
export interface Surroundings {
  facts(): FactFinding
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
  const { istioNamespace: namespace, revision } = settings
  const suffix = revisionSuffix(revision)
  let finding: FactFinding | undefined
  let services: ReadonlyMap<string, ReferredService | null> = new Map()
  let fault: string | undefined

  async function read(signal: AbortSignal): Promise<FactFinding> {
    const options = { signal }
    const text = async (name: string, key: string) => {
      const found = await client.get<ConfigMap>(configMapType, { namespace, name }, options)
      const value = found?.data?.[key]
      return typeof value === 'string' ? value : undefined
    }
    const [meshConfig, injectorValues, rootCertificates, istio, gateways] = await Promise.all([
      text(`istio${suffix}`, 'mesh'),
      settings.clusterId === undefined ? text(`istio-sidecar-injector${suffix}`, 'values') : undefined,
      // Istiod writes the same into every namespace (istio security/pkg/k8s/controller, NamespaceController).
      text('istio-ca-root-cert', 'root-cert.pem'),
      settings.network === undefined ? client.get(namespaceType, { name: namespace }, options) : undefined,
      settings.address === undefined
        ? client.list(serviceType, { namespace, labels: 'istio=eastwestgateway' }, options)
        : undefined,
    ])
    const network = istio?.metadata.labels?.['topology.istio.io/network']
    const found = { meshConfig, injectorValues, rootCertificates, network, gateways: gateways?.items ?? [] }
    return clusterFacts(found, settings)
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
    const before = [finding, [...services]]
    const now = await read(signal)
    for (const what of now.missing) {
      if (!finding?.missing.includes(what)) log.warn('the mesh is not complete in the cluster', { what })
    }
    // What VMs run with stays as it was when it is gone from the cluster: an Istio that is being installed anew.
    finding = { ...now, facts: kept(now.facts, finding?.facts) }
    services = await readServices(signal)
    if (canonical(before) !== canonical([finding, [...services]])) deps.changed()
  }

  return {
    facts() {
      if (finding === undefined)
        throw new MooringError('MESH_UNAVAILABLE', { detail: 'the cluster was not read yet' })
      return finding
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
        await clock.sleep(pause.next(), signal).catch(() => {})
        if (signal.aborted) return
        try {
          await look(signal)
          fault = undefined
        } catch (error) {
          if (signal.aborted) return
          const text = errorText(error)
          if (fault !== text) log.warn('the mesh cannot be read from the cluster', { error: text })
          fault = text
        }
      }
    },
    fault: () => fault,
  }
}

/** An address that is gone, of a gateway that is replaced, must not go out to VMs as none. */
function kept(now: ClusterFacts | undefined, before: ClusterFacts | undefined): ClusterFacts | undefined {
  if (now === undefined || before === undefined || now.istiod.address !== '') return now ?? before
  const { address, port } = before.istiod
  return { ...now, istiod: { ...now.istiod, address, port } }
}
