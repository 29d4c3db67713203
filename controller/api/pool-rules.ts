import type { PoolSpec } from '../../shared/api/operator.ts'
import { MooringError } from '../../shared/errors.ts'
import { isCidr } from '../join/address.ts'
import type { MeshMode } from '../mesh/mesh.ts'
import { checkPool } from '../mesh/pool-check.ts'
import { effectivePool } from '../mesh/pool-defaults.ts'

/** Throws `REQUEST_INVALID` for a spec that cannot be used beside the others. */
export type PoolRules = (name: string, spec: PoolSpec, others: ReadonlyMap<string, PoolSpec>) => void

/** Everything that pools have to be in a mesh of that mode; `namespaces` are those where they may be, empty for all. */
export function poolRules(mode: MeshMode, namespaces: readonly string[] = []): PoolRules {
  return (name, spec, others) => {
    checkPoolRules(spec)
    if (mode === 'standalone') checkStandalone(spec)
    if (namespaces.length > 0 && !namespaces.includes(spec.namespace)) {
      throw invalid('namespace', `must be one of ${namespaces.join(', ')}: this controller serves no other`)
    }
    checkPool(name, spec, others)
  }
}

/** Where there is no cluster, nothing in it can be referred to. */
function checkStandalone({ workloadGroup, revision, service }: PoolSpec): void {
  const detail = 'needs the mesh of a cluster; this controller has its own'
  if (workloadGroup !== undefined) throw invalid('workloadGroup', detail)
  if (revision !== undefined) throw invalid('revision', detail)
  if (service?.existing === true) throw invalid('service/existing', detail)
}

/** Throws `REQUEST_INVALID`, naming the field, for what the schema lets through and the controller cannot use. */
export function checkPoolRules(spec: PoolSpec): void {
  const cidrs = {
    'join/cidrs': spec.join.cidrs,
    'address/cidr': spec.address?.cidr === undefined ? [] : [spec.address.cidr],
    'capture/excludeOutboundCidrs': spec.capture?.excludeOutboundCidrs ?? [],
  }
  for (const [field, values] of Object.entries(cidrs)) {
    const wrong = values.find((value) => !isCidr(value))
    if (wrong !== undefined) throw invalid(field, `${wrong} is no address with a prefix length`)
  }
  const { liveness } = effectivePool(spec)
  if (liveness.lostAfterSeconds < liveness.heartbeatSeconds * 1.5) {
    throw invalid('liveness/lostAfterSeconds', 'must be at least 1.5 times heartbeatSeconds')
  }
}

/** Throws for a change that the pool's VMs could not follow: their identity is in what they hold already. */
export function checkPoolChange(before: PoolSpec, after: PoolSpec): void {
  for (const field of ['namespace', 'serviceAccount'] as const) {
    if (before[field] !== after[field]) {
      throw invalid(field, 'cannot change while the pool has VMs; make another pool')
    }
  }
}

function invalid(field: string, detail: string): MooringError {
  return new MooringError('REQUEST_INVALID', { detail: `body/${field} ${detail}` })
}
