import type { Permission } from '../../kubernetes/permission.ts'
import { pools, secrets, virtualMachines } from './resources.ts'

const written = ['get', 'list', 'watch', 'create', 'update', 'delete'] as const

/** Everything that the store may have to do, verb by verb; the chart's roles and their test are made from it. */
export const storePermissions: readonly Permission[] = [
  permission(pools, 'pools', written, 'pools as operators make them, by kubectl or by the controller'),
  permission(
    pools,
    'pools/status',
    ['update', 'patch'],
    'whether a pool is in force, and what is against it',
  ),
  permission(virtualMachines, 'virtualmachines', written, 'a VM that joined'),
  permission(virtualMachines, 'virtualmachines/status', ['update'], 'what is the case with it'),
  {
    ...permission(
      secrets,
      'secrets',
      written,
      'hashes of join tokens and operators, which are kept nowhere else',
    ),
    where: 'own',
  },
]

function permission(
  { group }: { readonly group: string },
  resource: string,
  verbs: readonly string[],
  why: string,
): Permission {
  return { where: 'pools', apiGroup: group, resource, verbs, why }
}
