import type { KeyObject } from 'node:crypto'
import { type ArtifactPiece, mostArtifacts } from '../../shared/api/artifact.ts'
import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import { isSignedBy } from '../../shared/sidecar-signature.ts'
import type { VmRecord } from '../store/records.ts'

/** Whether a controller that serves `served` would take this archive. Throws `ARTIFACT_REFUSED`. */
export function checkUpload(
  sha256: string,
  { version, arch, signature }: ArtifactPiece,
  served: readonly SidecarArtifact[],
  trustedKeys: readonly KeyObject[],
): void {
  const namesake = served.find((one) => one.version === version && one.arch === arch)
  if (namesake !== undefined) {
    // Rollouts, views and logs tell archives apart by their version.
    refuse(`version ${version} for ${arch} is sha256:${namesake.sha256}; give this one a version of its own`)
  }
  if (served.length >= mostArtifacts)
    refuse(`${served.length} are served already: remove one that is not in use`)
  if (trustedKeys.length === 0) return
  if (signature === undefined) refuse('it is not signed, and sidecar.trustedKeys asks for that')
  else if (!trustedKeys.some((key) => isSignedBy(sha256, signature, key))) {
    refuse('its signature is by none of sidecar.trustedKeys')
  }
}

/** How many VMs in the mesh were given an archive, or go back to it if the next one is of no use. */
export function usersOf(sha256: string, vms: readonly VmRecord[]): number {
  return vms.filter(
    ({ phase, artifact, update }) =>
      hasEntry(phase) && [artifact?.sha256, update?.before.sha256].includes(sha256),
  ).length
}

function refuse(detail: string): never {
  throw new MooringError('ARTIFACT_REFUSED', { detail })
}
