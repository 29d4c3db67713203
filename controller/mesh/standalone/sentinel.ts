import { managed } from '../identity-labels.ts'
import type { IstioObject } from '../mesh.ts'
import { refOf, rootNamespace } from '../objects.ts'

/**
 * A policy for nobody. istiod answers new sidecars from a view of the mesh that it makes anew some time
 * after it has read a change; when that view shows the sentinel's newest revision, it holds all that was
 * read before. Its namespace has no workload, and an AUDIT rule allows and denies nothing.
 */
export const sentinel: IstioObject = {
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'gate', namespace: `${rootNamespace}-gate`, labels: managed },
  spec: { action: 'AUDIT', selector: { matchLabels: { 'mesh.mooring/nobody': 'true' } }, rules: [{}] },
}

export const sentinelRef = refOf(sentinel)
