import { isMooringError } from '../../shared/errors.ts'
import type { PoolRecord } from '../store/records.ts'
import type { Mesh, MeshFacts } from './mesh.ts'

/**
 * What the VMs of a pool are told of the mesh; undefined while nothing is known of the revision of istiod that the pool
 * names. VMs then stay with what they have.
 */
export function poolFacts(mesh: Pick<Mesh, 'facts'>, pool: PoolRecord): MeshFacts | undefined {
  try {
    return mesh.facts(pool.spec.revision)
  } catch (error) {
    if (isMooringError(error, 'MESH_FACTS_MISSING')) return undefined
    throw error
  }
}
