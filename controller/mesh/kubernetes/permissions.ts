import type { Permission } from '../../kubernetes/permission.ts'
import { revisionSuffix } from './mesh-facts.ts'

const written = ['get', 'list', 'watch', 'create', 'patch', 'delete'] as const

/** Everything that the mesh adapter may have to do, verb by verb; the chart's roles and their test are made from it. */
export function meshPermissions(at: {
  readonly istioNamespace: string
  /** Of istiod; several while pools move from one to another. */
  readonly revisions: readonly string[]
}): readonly Permission[] {
  const suffixes = at.revisions.map(revisionSuffix)
  const istio = (resource: string, verbs: readonly string[], why: string): Permission => ({
    where: 'pools',
    apiGroup: 'networking.istio.io',
    resource,
    verbs,
    why,
  })
  const core = (where: Permission['where'], resource: string, verbs: readonly string[], why: string) => ({
    where,
    apiGroup: '',
    resource,
    verbs,
    why,
  })
  return [
    istio('workloadentries', written, 'the endpoint of each VM'),
    istio('workloadentries/status', ['patch'], 'opens and closes the endpoint'),
    istio('serviceentries', written, 'the service of a pool'),
    istio(
      'sidecars',
      written,
      'the inbound ports of a pool, and whether a Sidecar of yours selects the same VMs',
    ),
    istio('workloadgroups', written, 'shows the VMs of a pool to Istio’s tools, and reads a group of yours'),
    {
      where: 'pools',
      apiGroup: 'security.istio.io',
      resource: 'peerauthentications',
      verbs: written,
      why: 'VMs of a pool take mutual TLS alone',
    },
    {
      where: 'root',
      apiGroup: 'security.istio.io',
      resource: 'authorizationpolicies',
      verbs: written,
      why: 'denies the address of a removed VM until its certificates have expired',
    },
    core('pools', 'serviceaccounts', written, 'made where a pool names one that is missing'),
    core('pools', 'serviceaccounts/token', ['create'], 'the workload token of a VM'),
    core(
      'pools',
      'secrets',
      ['create', 'delete'],
      'tokens of a VM are bound to a Secret of it; none is ever read',
    ),
    core('pools', 'services', ['get'], 'whether the Service that a pool refers to leads to its VMs'),
    core('istio', 'services', ['list'], 'where VMs reach istiod: the east-west gateway'),
    {
      ...core('istio', 'configmaps', ['get'], 'MeshConfig, name of the cluster, root certificate'),
      names: [
        'istio-ca-root-cert',
        ...suffixes.flatMap((suffix) => [`istio${suffix}`, `istio-sidecar-injector${suffix}`]),
      ],
    },
    { ...core('cluster', 'namespaces', ['get'], 'the network of the cluster'), names: [at.istioNamespace] },
  ]
}
