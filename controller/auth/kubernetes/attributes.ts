/** API group of everything that operators are allowed by; that of Mooring's definitions. */
export const operatorGroup = 'mesh.mooring'

/**
 * What a route asks of Kubernetes (authorization.k8s.io/v1, ResourceAttributes and NonResourceAttributes).
 *
 * - `nothing`: who is known may do it
 * - `path`: a path that is no resource
 * - `cluster`: a resource without a namespace
 * - `pool`: a resource in the namespace of the pool that the request is about
 */
export type RouteAttributes =
  | { readonly of: 'nothing' }
  | { readonly of: 'path'; readonly path: string; readonly verb: string }
  | {
      readonly of: 'cluster' | 'pool'
      readonly resource: string
      readonly subresource?: string
      readonly verb: string
      /** The verb while there is no such object. */
      readonly verbIfNew?: string
    }

/** `operators` and the like are resources for permissions alone: no definition of them is in the cluster. */
export const routeAttributes: Readonly<Record<string, RouteAttributes>> = {
  'GET /v1/whoami': { of: 'nothing' },
  'GET /metrics': { of: 'path', path: '/metrics', verb: 'get' },
  'GET /v1/pools': { of: 'pool', resource: 'pools', verb: 'list' },
  'GET /v1/pools/:name': { of: 'pool', resource: 'pools', verb: 'get' },
  'PUT /v1/pools/:name': { of: 'pool', resource: 'pools', verb: 'update', verbIfNew: 'create' },
  'DELETE /v1/pools/:name': { of: 'pool', resource: 'pools', verb: 'delete' },
  'GET /v1/tokens': { of: 'pool', resource: 'tokens', verb: 'list' },
  'POST /v1/tokens': { of: 'pool', resource: 'tokens', verb: 'create' },
  'DELETE /v1/tokens/:id': { of: 'pool', resource: 'tokens', verb: 'delete' },
  'GET /v1/vms': { of: 'pool', resource: 'virtualmachines', verb: 'list' },
  'GET /v1/vms/events': { of: 'pool', resource: 'virtualmachines', verb: 'watch' },
  'GET /v1/vms/:id': { of: 'pool', resource: 'virtualmachines', verb: 'get' },
  'GET /v1/vms/:id/explanation': { of: 'pool', resource: 'virtualmachines', verb: 'get' },
  // As the eviction of a pod is.
  'POST /v1/vms/:id/drain': {
    of: 'pool',
    resource: 'virtualmachines',
    subresource: 'drain',
    verb: 'create',
  },
  'DELETE /v1/vms/:id': { of: 'pool', resource: 'virtualmachines', verb: 'delete' },
  'GET /v1/injections': { of: 'pool', resource: 'injections', verb: 'list' },
  'POST /v1/injections': { of: 'pool', resource: 'injections', verb: 'create' },
  'GET /v1/injections/:id': { of: 'pool', resource: 'injections', verb: 'get' },
  'GET /v1/artifacts': { of: 'cluster', resource: 'artifacts', verb: 'list' },
  'PUT /v1/artifacts/:sha256': { of: 'cluster', resource: 'artifacts', verb: 'create' },
  'DELETE /v1/artifacts/:sha256': { of: 'cluster', resource: 'artifacts', verb: 'delete' },
  'GET /v1/operators': { of: 'cluster', resource: 'operators', verb: 'list' },
  'POST /v1/operators': { of: 'cluster', resource: 'operators', verb: 'create' },
  'DELETE /v1/operators/:name': { of: 'cluster', resource: 'operators', verb: 'delete' },
  'POST /v1/operators/:name/certificate': {
    of: 'cluster',
    resource: 'operators',
    subresource: 'certificate',
    verb: 'create',
  },
  'DELETE /v1/operators/:name/certificate': {
    of: 'cluster',
    resource: 'operators',
    subresource: 'certificate',
    verb: 'delete',
  },
  'GET /v1/audit': { of: 'cluster', resource: 'audit', verb: 'list' },
}
