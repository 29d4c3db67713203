import type { Role } from '../../shared/api/operator.ts'
import type { Rule } from './controller-roles.ts'

/** Rules about resources, or about paths that are none. */
export type OperatorRule =
  | Rule
  | { readonly nonResourceURLs: readonly string[]; readonly verbs: readonly string[] }

/** A role for people and programs, to be bound in a namespace or in the whole cluster. */
export interface OperatorRole {
  /** Which role among the controller's own operators can do as much. */
  readonly like: Role
  /** Last part of its name. */
  readonly suffix: string
  /** Kubernetes' own role that takes these rules in. */
  readonly into?: 'view' | 'edit' | 'admin'
  readonly why: string
  readonly rules: readonly OperatorRule[]
}

const group = ['mesh.mooring']

/**
 * What operators may be given. The first three are parts of Kubernetes' `view`, `edit` and `admin`; each of those holds
 * the ones before.
 */
export const operatorRoles: readonly OperatorRole[] = [
  {
    like: 'viewer',
    suffix: 'view',
    into: 'view',
    why: 'sees pools and VMs',
    rules: [
      { apiGroups: group, resources: ['pools', 'virtualmachines'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: group, resources: ['injections'], verbs: ['get', 'list'] },
    ],
  },
  {
    like: 'operator',
    suffix: 'edit',
    into: 'edit',
    why: 'lets VMs join, drains and removes them',
    rules: [
      { apiGroups: group, resources: ['tokens'], verbs: ['list', 'create', 'delete'] },
      { apiGroups: group, resources: ['virtualmachines'], verbs: ['delete'] },
      { apiGroups: group, resources: ['virtualmachines/drain'], verbs: ['create'] },
      { apiGroups: group, resources: ['injections'], verbs: ['create'] },
    ],
  },
  {
    like: 'admin',
    suffix: 'admin',
    into: 'admin',
    why: 'says which VMs are alike, and as which service account of the namespace they run',
    rules: [{ apiGroups: group, resources: ['pools'], verbs: ['create', 'update', 'patch', 'delete'] }],
  },
  {
    like: 'viewer',
    suffix: 'monitor',
    why: 'reads the figures, and which sidecars are served',
    rules: [
      { nonResourceURLs: ['/metrics'], verbs: ['get'] },
      { apiGroups: group, resources: ['artifacts'], verbs: ['list'] },
    ],
  },
  {
    like: 'admin',
    suffix: 'owner',
    why: "keeps sidecar archives, reads the record of what was done, and lets in operators of the controller's own, who may do everything",
    rules: [
      { apiGroups: group, resources: ['artifacts'], verbs: ['create', 'delete'] },
      { apiGroups: group, resources: ['audit'], verbs: ['list'] },
      { apiGroups: group, resources: ['operators'], verbs: ['list', 'create', 'delete'] },
      { apiGroups: group, resources: ['operators/certificate'], verbs: ['create', 'delete'] },
    ],
  },
]
