import type { Vnf, VnfServer } from './vnf.ts'

/** The flag "add this VNF to the mesh", in the metadata of its instance. */
export const joinFlag = 'mesh.mooring/join'

/** Which VNFs are of which pool; the first that fits is taken. What it leaves open fits all. */
export interface MappingRule {
  readonly vnfd?: string
  readonly provider?: string
  readonly product?: string
  readonly vdu?: string
  /** All of them, in the metadata of the instance. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly pool: string
  /** Beside the pool's own. */
  readonly labels?: Readonly<Record<string, string>>
}

/** A server that is to be in the mesh. */
export interface Assignment extends VnfServer {
  readonly pool: string
  readonly labels: Readonly<Record<string, string>>
}

/** What becomes of the servers of one VNF. */
export interface Mapping {
  readonly assigned: readonly Assignment[]
  /** VDUs whose servers no rule takes; they are left alone, and it is said. Empty for a VNF that does not ask for the mesh. */
  readonly unmapped: readonly string[]
}

/**
 * Which servers of a VNF are to be in the mesh, and as what. Namespace, service account and everything that is trusted
 * come from the pool, which the operator wrote: whoever may write the metadata of an instance chooses among rules alone.
 */
export function mapVnf(vnf: Vnf, rules: readonly MappingRule[]): Mapping {
  if (!vnf.isInstantiated || vnf.metadata[joinFlag] !== 'true') return { assigned: [], unmapped: [] }
  const assigned: Assignment[] = []
  const unmapped = new Set<string>()
  for (const server of vnf.servers) {
    const rule = rules.find((one) => fits(one, vnf, server))
    if (rule === undefined) unmapped.add(server.vdu)
    else assigned.push({ ...server, pool: rule.pool, labels: rule.labels ?? {} })
  }
  return { assigned, unmapped: [...unmapped] }
}

function fits(rule: MappingRule, vnf: Vnf, { vdu }: VnfServer): boolean {
  const pairs = [
    [rule.vnfd, vnf.vnfd],
    [rule.provider, vnf.provider],
    [rule.product, vnf.product],
    [rule.vdu, vdu],
    ...Object.entries(rule.metadata ?? {}).map(([key, value]) => [value, vnf.metadata[key]] as const),
  ] as const
  return pairs.every(([wanted, found]) => wanted === undefined || wanted === found)
}
