import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Bundle, SidecarArtifact } from '../../shared/api/bundle.ts'
import { Sha256 } from '../../shared/api/wire.ts'
import { MooringError } from '../../shared/errors.ts'
import { readBounded } from '../host/files.ts'
import { sidecarFiles } from './paths.ts'

/** The files that an archive holds: exactly these, each with the mode it gets. */
export const archiveFiles: ReadonlyMap<string, number> = new Map([
  [sidecarFiles.pilotAgent, 0o755],
  [sidecarFiles.envoy, 0o755],
  [sidecarFiles.template, 0o644],
])

/** What an installed version is; the last file written into its folder. */
export const Manifest = Type.Object({
  version: Type.String({ maxLength: 64 }),
  /** Of the archive it came from. */
  sha256: Sha256,
  files: Type.Array(
    Type.Object({ path: Type.String({ maxLength: 128 }), size: Type.Integer(), sha256: Sha256 }),
    { maxItems: 16 },
  ),
})
export type Manifest = Static<typeof Manifest>
export const manifestName = 'manifest.json'

/** The artifact of a bundle for this machine; `arch` is one of Go's names. */
export function chooseArtifact(bundle: Bundle, arch: string): SidecarArtifact {
  const artifact = bundle.sidecar.artifacts.find((each) => each.arch === arch)
  if (artifact === undefined) throw new MooringError('ARTIFACT_UNAVAILABLE', { detail: arch })
  return artifact
}

/** The folder of an artifact once installed. Its name says the digest: one version built twice is two. */
export function versionFolder(versions: string, artifact: SidecarArtifact): string {
  return join(versions, `${artifact.version}-${artifact.sha256.slice(0, 12)}`)
}

/** The version of the program at `path`, by the name of its folder; see `versionFolder`. */
export function versionOfProgram(path: string): string | undefined {
  return /\/([^/]+)-[0-9a-f]{12}\/[^/]+\/[^/]+$/.exec(path)?.[1]
}

/** A sidecar on disk that can be started. */
export interface InstalledVersion {
  readonly version: string
  readonly folder: string
  /** Of the archive it came from. */
  readonly sha256: string
}

/** Whether `folder` holds the artifact, complete. */
export async function isInstalled(folder: string, artifact: SidecarArtifact): Promise<boolean> {
  return (await installedIn(folder))?.sha256 === artifact.sha256
}

/**
 * The version that `folder` holds; undefined when it is not complete. The digest was checked when it was
 * unpacked; here sizes and modes are, because hashing 140 MB at every boot would cost more than all other
 * steps together.
 */
export async function installedIn(folder: string): Promise<InstalledVersion | undefined> {
  const manifest = await readManifest(folder)
  if (manifest === undefined || !(await isComplete(folder, manifest))) return undefined
  return { version: manifest.version, folder, sha256: manifest.sha256 }
}

async function isComplete(folder: string, manifest: Manifest): Promise<boolean> {
  if (manifest.files.length !== archiveFiles.size) return false
  for (const { path, size } of manifest.files) {
    const mode = archiveFiles.get(path)
    const info = mode === undefined ? undefined : await stat(join(folder, path)).catch(() => undefined)
    if (info === undefined || !info.isFile() || info.size !== size) return false
    if ((info.mode & 0o777) !== mode) return false
  }
  return true
}

async function readManifest(folder: string): Promise<Manifest | undefined> {
  try {
    const value: unknown = JSON.parse((await readBounded(join(folder, manifestName), 16384)) ?? 'null')
    return Value.Check(Manifest, value) ? value : undefined
  } catch {
    return undefined
  }
}
