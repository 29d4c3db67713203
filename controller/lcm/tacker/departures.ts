import type { Operation } from './operation.ts'
import type { Vnf } from './vnf.ts'

/** How many servers of which VDU one step of a scaling aspect makes or takes; the VNFD says so, the instance does not. */
export type Aspects = Readonly<Record<string, Readonly<Record<string, number>>>>

/** The servers that an operation is about to take, or why nobody can know. */
export type Departures =
  | { readonly servers: readonly string[]; readonly unknown?: undefined }
  | { readonly servers: readonly []; readonly unknown: string }

/**
 * Which servers an operation that is under way will take. SCALE in: the newest of each VDU of its aspect, as Tacker
 * chooses them for the grant (vnflcm_driver_v2.py, `_make_scale_in_grant_request`); in groups that Heat scales by
 * itself, Heat chooses (`isAutoscaled`). HEAL: the servers of the VNFCs that it names, or all.
 */
export function departures(
  operation: Pick<Operation, 'type' | 'scale' | 'healed' | 'stops'>,
  vnf: Pick<Vnf, 'servers'>,
  { aspects, isAutoscaled = false }: { readonly aspects: Aspects; readonly isAutoscaled?: boolean },
): Departures {
  const { type, scale, healed, stops } = operation
  const all = vnf.servers.map(({ server }) => server)
  if (type === 'TERMINATE') return { servers: all }
  if (type === 'OPERATE') return { servers: stops ? all : [] }
  if (type === 'HEAL') {
    if (healed.length === 0) return { servers: all }
    // Version 2 names a VNFC `<vdu>-<resource>` in `vnfcInfo`, version 1 by the resource's own id.
    const isHealed = (one: Vnf['servers'][number]) =>
      healed.includes(one.vnfc) || healed.includes(`${one.vdu}-${one.vnfc}`)
    return { servers: vnf.servers.filter(isHealed).map(({ server }) => server) }
  }
  if (type !== 'SCALE' || scale?.direction !== 'in') return { servers: [] }
  if (isAutoscaled) return { servers: [], unknown: 'Heat chooses which servers of a scaling group go' }
  const counts = aspects[scale.aspect]
  if (counts === undefined) {
    return { servers: [], unknown: `no rule says which VDUs the aspect ${scale.aspect} scales` }
  }
  const servers = Object.entries(counts).flatMap(([vdu, perStep]) =>
    vnf.servers
      .filter((one) => one.vdu === vdu)
      .slice(0, perStep * scale.steps)
      .map(({ server }) => server),
  )
  return { servers }
}
