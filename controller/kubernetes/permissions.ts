import { meshPermissions } from '../mesh/kubernetes/permissions.ts'
import { storePermissions } from '../store/kubernetes/permissions.ts'
import { leasePermission } from './lease-resource.ts'
import type { Permission } from './permission.ts'

/** What belongs neither to the store nor to the mesh. */
const ownPermissions: readonly Permission[] = [
  leasePermission,
  {
    where: 'cluster',
    apiGroup: 'authentication.k8s.io',
    resource: 'tokenreviews',
    verbs: ['create'],
    why: 'whose token an operator shows',
  },
  {
    where: 'cluster',
    apiGroup: 'authorization.k8s.io',
    resource: 'subjectaccessreviews',
    verbs: ['create'],
    why: 'what that operator may do',
  },
]

/** Everything that the controller may have to do in a cluster, verb by verb; the chart's roles are made from it. */
export function controllerPermissions(at: {
  readonly istioNamespace: string
  /** Of istiod; several while pools move from one to another. */
  readonly revisions: readonly string[]
}): readonly Permission[] {
  return [...storePermissions, ...meshPermissions(at), ...ownPermissions]
}
