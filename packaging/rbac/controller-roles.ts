import type { Permission } from '../../controller/kubernetes/permission.ts'
import { controllerPermissions } from '../../controller/kubernetes/permissions.ts'

export interface ControllerRolesRequest {
  /** Of the objects made. */
  readonly name: string
  /** The controller's own namespace, and its service account in it. */
  readonly namespace: string
  readonly account: string
  readonly istioNamespace: string
  /** The one whose policies hold for the whole mesh. @defaultValue istiod's */
  readonly rootNamespace?: string
  /** Of istiod. @defaultValue the one without a name */
  readonly revisions?: readonly string[]
  /** Where pools may be. @defaultValue in every namespace */
  readonly namespaces?: readonly string[]
}

/** A rule of rbac.authorization.k8s.io/v1. */
export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

const rbac = 'rbac.authorization.k8s.io'

/** Roles and bindings that give a controller's service account what its tables of permissions ask for, and no more. */
export function controllerRoles(request: ControllerRolesRequest): readonly object[] {
  const { name, namespace, account, istioNamespace, revisions = [''], namespaces = [] } = request
  const { rootNamespace = istioNamespace } = request
  const all = controllerPermissions({ istioNamespace, revisions })
  const rules = (...places: readonly Permission['where'][]) => rulesOf(all, places)
  const clusterName = `${namespace}:${name}`
  const subjects = [{ kind: 'ServiceAccount', name: account, namespace }]
  const pair = (kind: 'ClusterRole' | 'Role', metadata: object, named: string, given: readonly Rule[]) => [
    { apiVersion: `${rbac}/v1`, kind, metadata, rules: given },
    {
      ...{ apiVersion: `${rbac}/v1`, kind: `${kind}Binding`, metadata, subjects },
      roleRef: { apiGroup: rbac, kind, name: named },
    },
  ]
  const local = (part: Permission['where'], where: string) =>
    pair('Role', { name: `${name}-${part}`, namespace: where }, `${name}-${part}`, rules(part))
  const isEverywhere = namespaces.length === 0
  return [
    ...pair(
      'ClusterRole',
      { name: clusterName },
      clusterName,
      isEverywhere ? rules('pools', 'cluster') : rules('cluster'),
    ),
    ...namespaces.flatMap((where) => local('pools', where)),
    ...local('own', namespace),
    ...local('istio', istioNamespace),
    ...local('root', rootNamespace),
  ]
}

function rulesOf(all: readonly Permission[], places: readonly Permission['where'][]): readonly Rule[] {
  return all
    .filter(({ where }) => places.includes(where))
    .map(({ apiGroup, resource, verbs, names }) => ({
      apiGroups: [apiGroup],
      resources: [resource],
      ...(names && { resourceNames: names }),
      verbs,
    }))
}
