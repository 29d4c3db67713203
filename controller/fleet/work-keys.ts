import type { ObjectRef } from '../mesh/mesh.ts'

/** What the fleet works on, as keys of its queue: a VM each, and what there is once. */
export const workKeys = {
  pools: 'pools',
  resync: 'resync',
  rollout: 'rollout',
  /** The facts of the mesh, which are in every bundle. */
  facts: 'facts',
  vm: (vm: string) => `vm/${vm}`,
} as const

/** The VM of a key, where it is one's. */
export function vmOfKey(key: string): string {
  return key.slice(workKeys.vm('').length)
}

/** Whose plan an object belongs to. */
export function keyOfOwner({ kind, name }: ObjectRef): string {
  if (kind === 'WorkloadEntry') return workKeys.vm(name)
  if (kind === 'AuthorizationPolicy') return workKeys.vm(name.replace(/^evicted-/, ''))
  return workKeys.pools
}
