import type { MeshFacts } from './mesh.ts'

/** Istio's own switch, in the environment of istiod and of every sidecar (istio pkg/features). */
export const dualStackSwitch = 'ISTIO_DUAL_STACK'

/** Whether sidecars capture and serve IPv6 beside IPv4. */
export function isDualStack({ environment }: Pick<MeshFacts, 'environment'>): boolean {
  return /^(1|t|true)$/i.test(environment[dualStackSwitch] ?? '')
}
