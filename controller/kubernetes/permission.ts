/**
 * One thing that the controller does in a cluster, and why.
 *
 * - `pools`: in every namespace that may have pools
 * - `own`: in the controller's own namespace
 * - `istio`: in istiod's
 * - `root`: in the one whose policies hold for the whole mesh
 * - `cluster`: on what has no namespace
 */
export interface Permission {
  readonly where: 'pools' | 'own' | 'istio' | 'root' | 'cluster'
  readonly apiGroup: string
  readonly resource: string
  readonly verbs: readonly string[]
  /** Only these objects. */
  readonly names?: readonly string[]
  readonly why: string
}
