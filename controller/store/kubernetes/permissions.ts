import { pools, secrets, virtualMachines } from './resources.ts'

/** One thing the store does in a cluster. `where`: in all namespaces, or in the controller's own. */
export interface StorePermission {
  readonly where: 'all' | 'own'
  readonly apiGroup: string
  readonly resource: string
  readonly verbs: readonly string[]
  readonly why: string
}

const written = ['get', 'list', 'watch', 'create', 'update', 'delete'] as const

/** Everything that the store may have to do, verb by verb; the chart's roles and their test are made from it. */
export const storePermissions: readonly StorePermission[] = [
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
): StorePermission {
  return { where: 'all', apiGroup: group, resource, verbs, why }
}
