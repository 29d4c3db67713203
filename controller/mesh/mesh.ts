import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import type { Secret } from '../../shared/secret.ts'

/** What is written into a mesh; the last two in Kubernetes alone. */
export const objectKinds = [
  'WorkloadEntry',
  'ServiceEntry',
  'Sidecar',
  'PeerAuthentication',
  'AuthorizationPolicy',
  'WorkloadGroup',
  'ServiceAccount',
] as const
export type ObjectKind = (typeof objectKinds)[number]

/**
 * An object as its API has it. `status` is set on WorkloadEntry alone; `spec` of a ServiceAccount, which has none, is
 * empty.
 */
export interface IstioObject {
  readonly apiVersion: string
  readonly kind: ObjectKind
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

export type ObjectRef = Pick<IstioObject, 'kind'> & { readonly name: string; readonly namespace: string }

/** Who keeps the objects: a folder that an own istiod reads, or the API server of a cluster. */
export type MeshMode = 'standalone' | 'kubernetes'

/** Facts of the mesh that go into every bundle. */
export interface MeshFacts {
  /** Name of the istiod that serves; absent where it has none. */
  readonly revision?: string
  readonly trustDomain: string
  readonly meshId: string
  readonly clusterId: string
  readonly network: string
  readonly istiod: { readonly host: string; readonly address: string; readonly port: number }
  /** PEM. */
  readonly rootCertificates: string
  readonly proxyConfig: Readonly<Record<string, unknown>>
  readonly environment: Readonly<Record<string, string>>
  readonly artifacts: readonly SidecarArtifact[]
  /** Life of the workload certificates. */
  readonly certificateTtlSeconds: number
}

export interface MintRequest {
  readonly namespace: string
  readonly serviceAccount: string
  /** Of istiod; absent: the mesh's own. */
  readonly revision?: string
  /** Name of the VM, which the token is bound to where the mesh can (Kubernetes: a Secret). */
  readonly vm: string
  readonly ttlSeconds: number
}

export interface MintedToken {
  readonly token: Secret
  readonly expiresAt: number
}

/**
 * One Istio control plane that Mooring writes to. Two ship: `standalone` (files, own istiod, own issuer) and
 * `kubernetes`. Every method is idempotent and throws `MESH_UNAVAILABLE` when a retry may help.
 */
export interface Mesh {
  /** @defaultValue `standalone` */
  readonly mode?: MeshMode
  /** Resolves when istiod serves what is written. Until then `apply` and `remove` already work. */
  start(signal: AbortSignal): Promise<void>
  /** Of a revision of istiod, or of the mesh's own. Throws `MESH_FACTS_MISSING` for one that nothing is known of. */
  facts(revision?: string): MeshFacts
  apply(object: IstioObject, signal: AbortSignal): Promise<void>
  remove(ref: ObjectRef, signal: AbortSignal): Promise<void>
  /** Everything that Mooring wrote and is still there. */
  list(signal: AbortSignal): Promise<readonly IstioObject[]>
  /** Resolves when istiod has taken in the given object's current content (or its absence). */
  taken(ref: ObjectRef, signal: AbortSignal): Promise<void>
  /** Throws `IDENTITY_NOT_DECLARED` for what no pool declares. */
  mint(request: MintRequest, signal: AbortSignal): Promise<MintedToken>
  /** One entry per part that `/readyz` shows. */
  health(): readonly { readonly part: string; readonly ok: boolean; readonly detail: string }[]
  close(): Promise<void>
}
