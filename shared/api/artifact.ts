import { type Static, Type } from 'typebox'
import { SidecarArtifact } from './bundle.ts'
import { Sha256, Text, Time } from './wire.ts'

/** Bounds of an upload, in bytes: of the archive, and of one piece of it, which is what a request carries. */
export const uploadLimits = { archive: 512 * 1024 * 1024, piece: 4 * 1024 * 1024 } as const

/** Archives that one controller serves at most: a bundle may name as many. */
export const mostArtifacts = 8

export const ArtifactVersion = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$' })

export const ArtifactParams = Type.Object({ sha256: Sha256 })

/** What a piece is a piece of, and where in it. Pieces come one after the other; the first begins an upload anew. */
export const ArtifactPiece = Type.Object(
  {
    version: ArtifactVersion,
    arch: Type.Enum(['amd64', 'arm64']),
    /** Bytes of the whole archive. */
    size: Type.Integer({ minimum: 1, maximum: uploadLimits.archive }),
    offset: Type.Integer({ minimum: 0, maximum: uploadLimits.archive }),
    /** Ed25519 (RFC 8032) over the statement of `shared/sidecar-signature.ts`, in base64. */
    signature: Type.Optional(Type.String({ maxLength: 128, pattern: '^[A-Za-z0-9+/]+=*$' })),
  },
  { additionalProperties: false },
)
export type ArtifactPiece = Static<typeof ArtifactPiece>

/** How much of an archive has arrived; `served` when it is whole, and agents can have it. */
export const ArtifactReceived = Type.Object({
  sha256: Sha256,
  received: Type.Integer({ minimum: 0 }),
  served: Type.Boolean(),
})
export type ArtifactReceived = Static<typeof ArtifactReceived>

export const ArtifactView = Type.Object({
  ...SidecarArtifact.properties,
  /** Whether the controller's configuration names it, or it was uploaded. */
  source: Type.Enum(['configuration', 'upload']),
  /** Whether it is what VMs of its platform are to have: of each platform the first one of the list. */
  offered: Type.Boolean(),
  /** VMs in the mesh that were given it, or go back to it if the next one is of no use. */
  vms: Type.Integer({ minimum: 0 }),
  addedAt: Type.Optional(Time),
  addedBy: Type.Optional(Text),
})
export type ArtifactView = Static<typeof ArtifactView>
