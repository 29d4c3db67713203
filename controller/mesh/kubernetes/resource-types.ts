import type { ResourceType } from '../../kubernetes/resource.ts'
import type { ObjectKind } from '../mesh.ts'

const networking = { group: 'networking.istio.io', version: 'v1' } as const
const security = { group: 'security.istio.io', version: 'v1' } as const
const core = { group: '', version: 'v1' } as const

/** Where the API server has each kind that Mooring writes. */
export const meshTypes: Readonly<Record<ObjectKind, ResourceType>> = {
  WorkloadEntry: { ...networking, kind: 'WorkloadEntry', plural: 'workloadentries' },
  ServiceEntry: { ...networking, kind: 'ServiceEntry', plural: 'serviceentries' },
  Sidecar: { ...networking, kind: 'Sidecar', plural: 'sidecars' },
  WorkloadGroup: { ...networking, kind: 'WorkloadGroup', plural: 'workloadgroups' },
  PeerAuthentication: { ...security, kind: 'PeerAuthentication', plural: 'peerauthentications' },
  AuthorizationPolicy: { ...security, kind: 'AuthorizationPolicy', plural: 'authorizationpolicies' },
  ServiceAccount: { ...core, kind: 'ServiceAccount', plural: 'serviceaccounts' },
}

/** Tokens of VMs are bound to one each. */
export const secretType: ResourceType = { ...core, kind: 'Secret', plural: 'secrets' }
export const configMapType: ResourceType = { ...core, kind: 'ConfigMap', plural: 'configmaps' }
export const namespaceType: ResourceType = { ...core, kind: 'Namespace', plural: 'namespaces' }
export const serviceType: ResourceType = { ...core, kind: 'Service', plural: 'services' }
