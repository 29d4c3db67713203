import type { PoolSpec } from '../../shared/api/operator.ts'
import { MooringError } from '../../shared/errors.ts'
import { isCidr } from '../join/address.ts'
import { effectivePool } from '../mesh/pool-defaults.ts'

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
