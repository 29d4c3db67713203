import type { PoolRecord } from '../../store/records.ts'
import { workloadLabels } from '../identity-labels.ts'
import { effectivePool } from '../pool-defaults.ts'

/** Why a pool cannot be what it says, though all its objects may be written. */
export interface PoolFault {
  readonly pool: string
  readonly code: 'MESH_SIDECAR_CLASH' | 'MESH_SERVICE_UNFIT' | 'MESH_GROUP_MISSING' | 'MESH_FACTS_MISSING'
  /** One sentence that names the object. */
  readonly detail: string
}

/** A Sidecar resource that is somebody else's. */
export interface ForeignSidecar {
  readonly namespace: string
  readonly name: string
  /** Labels that it selects by; undefined for one that holds for its namespace where nothing else does. */
  readonly selector: Readonly<Record<string, string>> | undefined
}

/** A Service that a pool refers to. */
export interface ReferredService {
  readonly selector: Readonly<Record<string, string>> | undefined
}

export interface PoolSurroundings {
  readonly sidecars: Iterable<ForeignSidecar>
  /** By `<namespace>/<name>`; null is one that is not there, and what was not looked for is not judged. */
  readonly services: ReadonlyMap<string, ReferredService | null>
  /** The WorkloadGroup that the pool refers to is not there, or says what cannot be followed. */
  readonly isGroupMissing: boolean
  /** What VMs must know of the revision that the pool names, and is not there. */
  readonly missingFacts: readonly string[]
}

/** What stands against a pool in its namespace. */
export function poolFaults(
  name: string,
  { spec }: PoolRecord,
  around: PoolSurroundings,
): readonly PoolFault[] {
  const labels = workloadLabels(name, spec)
  const faults: PoolFault[] = []
  for (const sidecar of around.sidecars) {
    // Istio gives a workload the Sidecar that selects it before the one of its namespace; between two that
    // select it the older wins (istio pilot/pkg/model/push_context.go, getSidecarScope).
    if (sidecar.namespace !== spec.namespace || sidecar.selector === undefined) continue
    if (!fits(sidecar.selector, labels)) continue
    const detail = `Sidecar ${sidecar.namespace}/${sidecar.name} selects the VMs of pool ${name}`
    faults.push({ pool: name, code: 'MESH_SIDECAR_CLASH', detail })
  }
  const key = existingService(spec)
  const service = key === undefined ? undefined : around.services.get(key)
  if (service === null) {
    faults.push({ pool: name, code: 'MESH_SERVICE_UNFIT', detail: `there is no Service ${key}` })
  } else if (service !== undefined && !leadsTo(service.selector, labels)) {
    const detail = `the selector of Service ${key} does not fit the labels of pool ${name}`
    faults.push({ pool: name, code: 'MESH_SERVICE_UNFIT', detail })
  }
  if (around.isGroupMissing) {
    const detail = `there is no WorkloadGroup ${spec.namespace}/${spec.workloadGroup} that can be followed; the pool is in force without it`
    faults.push({ pool: name, code: 'MESH_GROUP_MISSING', detail })
  }
  if (around.missingFacts.length > 0) {
    const detail = `of revision ${spec.revision} there is missing: ${around.missingFacts.join(', ')}`
    faults.push({ pool: name, code: 'MESH_FACTS_MISSING', detail })
  }
  return faults
}

/** `<namespace>/<name>` of the Service that a pool refers to; its name is the first part of the host. */
export function existingService(spec: PoolRecord['spec']): string | undefined {
  if (spec.service?.existing !== true) return undefined
  const { namespace, service } = effectivePool(spec)
  return `${namespace}/${service?.host.split('.')[0] ?? ''}`
}

type Labels = Readonly<Record<string, string>>

/** A Service without a selector leads to nobody, while an empty one of a Sidecar is for all. */
function leadsTo(selector: Labels | undefined, labels: Labels): boolean {
  return selector !== undefined && Object.keys(selector).length > 0 && fits(selector, labels)
}

function fits(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}
