import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import type { Nic } from '../../shared/api/join.ts'
import type { PoolSpec, Role } from '../../shared/api/operator.ts'
import type { AfterDrain, DrainReason, Health } from '../../shared/api/stream.ts'
import type { Condition } from '../../shared/conditions.ts'
import type { Phase } from '../../shared/lifecycle.ts'

/** Times are Unix milliseconds everywhere. */
export interface PoolRecord {
  readonly spec: PoolSpec
  readonly createdAt: number
  readonly updatedAt: number
}

export interface TokenRecord {
  readonly pool: string
  /** SHA-256 of the token, hex: it need only be recognised. */
  readonly hash: string
  readonly uses: number
  /** Thumbprints of the keys that used it: a repeated join by one of them costs no further use. */
  readonly usedBy: readonly string[]
  readonly createdAt: number
  readonly expiresAt: number
  readonly createdBy: string
}

export interface OperatorRecord {
  readonly hash: string
  readonly role: Role
  readonly pools: readonly string[]
  readonly createdAt: number
  readonly expiresAt: number
  /** SHA-256 of the key of the client certificate that is valid, hex, and its end. */
  readonly certificate?: { readonly thumbprint: string; readonly expiresAt: number }
}

/** A code with which the first administrator, or one who lost the token, becomes an operator. One at a time. */
export interface EnrolmentRecord {
  /** SHA-256 of the code, hex. */
  readonly hash: string
  readonly createdAt: number
  readonly expiresAt: number
}

/** Who wants this VM drained, and what then. Desired state: stays until the VM left. */
export interface DesiredDrain {
  readonly reason: DrainReason
  readonly after: AfterDrain
  readonly requestedAt: number
  readonly by: string
  readonly deadlineSeconds?: number
}

export interface VmRecord {
  // --- identity; fixed at admission
  readonly pool: string
  readonly method: string
  /** SHA-256 of the key's SubjectPublicKeyInfo, hex: the idempotency key of its join. */
  readonly keyThumbprint: string
  readonly address: string
  readonly hostname: string
  readonly arch: string
  readonly nics: readonly Nic[]
  readonly bootId: string
  readonly admittedAt: number
  readonly createdAt: number

  // --- wishes
  readonly drain?: DesiredDrain
  /** Removed by an operator: its key is not accepted again. `evictUntil`: its address is denied until then. */
  readonly revoked?: {
    readonly at: number
    readonly by: string
    readonly evictUntil: number
    readonly now: boolean
  }

  /** The sidecar that its bundle names; absent before the first bundle. */
  readonly artifact?: SidecarArtifact
  /** It is taking `artifact`; `before` is what it goes back to when that does not get ready. */
  readonly update?: {
    readonly since: number
    readonly before: SidecarArtifact
    /** Its application was well when its turn came, and must be so again. */
    readonly served: boolean
  }
  /** Its endpoint is closed while its sidecar is started anew. */
  readonly restart?: { readonly since: number }

  // --- what is the case
  /** The artifact that did not get ready here. */
  readonly refusedArtifact?: { readonly sha256: string; readonly at: number; readonly why: string }
  readonly phase: Phase
  readonly phaseSince: number
  readonly health: Health
  readonly conditions: readonly Condition[]
  /** The stream that last spoke for this VM: which controller holds it, and its number. */
  readonly stream?: { readonly owner: string; readonly epoch: number; readonly since: number }
  /** Last time a controller knew it alive, as of the last write; heartbeats are not written. */
  readonly lastSeenAt: number
  readonly certificateExpiresAt: number
  /** Pin of the authority that signed it. */
  readonly certificateIssuer?: string
  /** Latest possible end of any workload certificate it may hold. */
  readonly workloadCertificateUntil: number
  readonly agentVersion: string
  readonly sidecarVersion?: string
  readonly sidecarRestarts: number
  /** Its agent waits for its turn to start the sidecar anew. */
  readonly restartPending?: boolean
  readonly bundleRevision: string
  /** `trustDigest` of the mesh's roots that it was last known to trust. */
  readonly trust?: string
  readonly facts: Readonly<Record<string, string>>
}
