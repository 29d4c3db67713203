import type { KubernetesObject, ResourceType } from './resource.ts'

/** A Lease of coordination.k8s.io/v1. */
export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

export const leases: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
}

/** What is done with Leases; all of it in the controller's own namespace. */
export const leasePermission = {
  where: 'own',
  apiGroup: leases.group,
  resource: leases.plural,
  verbs: ['get', 'list', 'create', 'update', 'delete'],
  why: 'which replicas run, and which of them leads',
} as const

/** meta/v1 MicroTime. */
export function micro(now: number): string {
  return new Date(now).toISOString().replace('Z', '000Z')
}
