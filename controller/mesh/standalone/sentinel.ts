import { managed } from '../identity-labels.ts'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { rootNamespace } from '../objects.ts'

/** What names the sentinel. Its namespace has no workload. */
export const sentinelRef: ObjectRef = {
  kind: 'AuthorizationPolicy',
  name: 'gate',
  namespace: `${rootNamespace}-gate`,
}

/**
 * A policy for nobody. istiod answers new sidecars from a view of the mesh that it makes anew some time
 * after it has read a change; when that view shows the sentinel of this `nonce`, it holds all that was read
 * before. The nonce is in the spec, since a change of annotations alone makes no new view
 * (istio pilot/pkg/bootstrap/config_compare.go); an AUDIT rule allows and denies nothing.
 */
export function sentinel(nonce: string): IstioObject {
  const { name, namespace } = sentinelRef
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace, labels: managed },
    spec: { action: 'AUDIT', selector: { matchLabels: { 'mesh.mooring/nonce': nonce } }, rules: [{}] },
  }
}
