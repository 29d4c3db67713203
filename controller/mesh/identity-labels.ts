import { createHash } from 'node:crypto'
import type { PoolSpec } from '../../shared/api/operator.ts'

/** Keys of the labels that Mooring owns; a pool cannot set them. */
export const ownLabels = {
  pool: 'mesh.mooring/pool',
  service: 'mesh.mooring/service',
  managedBy: 'app.kubernetes.io/managed-by',
} as const

/** On every object that Mooring writes. */
export const managed = { [ownLabels.managedBy]: 'mooring' } as const

/**
 * The labels of a workload: on its WorkloadEntry and in its sidecar's node metadata alike. Were they to
 * differ, the `Sidecar` resource would fit one and not the other (istio pilot/pkg/model/sidecar.go).
 */
export function workloadLabels(poolName: string, spec: PoolSpec): Readonly<Record<string, string>> {
  const app = spec.labels?.app ?? spec.service?.host.split('.')[0] ?? poolName
  return {
    app,
    'service.istio.io/canonical-name': app,
    'service.istio.io/canonical-revision': spec.labels?.version ?? 'latest',
    ...spec.labels,
    [ownLabels.pool]: poolName,
    ...(spec.service && { [ownLabels.service]: serviceLabel(spec.service.host) }),
  }
}

/** `host` as a label value: itself where it fits in 63 characters, else its start and a hash of it. */
export function serviceLabel(host: string): string {
  if (host.length <= 63) return host
  const hash = createHash('sha256').update(host).digest('hex').slice(0, 12)
  return `${host.slice(0, 50).replace(/[^a-z0-9]+$/, '')}-${hash}`
}
