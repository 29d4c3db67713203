import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { SidecarArtifact } from '../../shared/api/bundle.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { asStorageFault, syncFolder, writeAtomic } from '../host/files.ts'
import { unpackArchive } from './artifact-archive.ts'
import { downloadArtifact, type FetchArtifact } from './artifact-download.ts'
import {
  type InstalledVersion,
  installedIn,
  isInstalled,
  type Manifest,
  manifestName,
  versionFolder,
} from './artifact-manifest.ts'
import type { SidecarPaths } from './paths.ts'

/** Sidecars on disk: each version in a folder of its own, which appears complete or not at all. */
export interface Artifacts {
  /** Installed, and the one that `current` names. */
  inUse(artifact: SidecarArtifact): Promise<boolean>
  installed(artifact: SidecarArtifact): Promise<boolean>
  /** What `current` names; undefined while that is nothing that can be started. */
  inForce(): Promise<InstalledVersion | undefined>
  /** Brings the archive to disk, digest checked; the path is for `unpack`. */
  download(artifact: SidecarArtifact, signal: AbortSignal): Promise<string>
  /** Makes the version's folder from the archive, and deletes the archive. */
  unpack(artifact: SidecarArtifact, archive: string, signal: AbortSignal): Promise<void>
  /** Points `current` at the version, keeps the one before it, removes older ones. */
  use(artifact: SidecarArtifact): Promise<void>
}

export interface ArtifactsDeps {
  readonly paths: Pick<SidecarPaths, 'versions' | 'current' | 'downloads'>
  readonly fetchArtifact: FetchArtifact
  readonly log: Log
}

/** Temporary folders; no version starts with a dot. */
const unfinished = '.unfinished-'

/** Installs sidecars below the agent's state folder. */
export function createArtifacts({ paths, fetchArtifact, log }: ArtifactsDeps): Artifacts {
  const folderOf = (artifact: SidecarArtifact) => versionFolder(paths.versions, artifact)
  const inUseName = () => readlink(paths.current).then(basename, () => undefined)

  return {
    installed: (artifact) => isInstalled(folderOf(artifact), artifact),

    async inUse(artifact) {
      return (await inUseName()) === basename(folderOf(artifact)) && isInstalled(folderOf(artifact), artifact)
    },

    async inForce() {
      const name = await inUseName()
      return name === undefined ? undefined : installedIn(join(paths.versions, name))
    },

    download: (artifact, signal) =>
      downloadArtifact(artifact, { folder: paths.downloads, fetchArtifact }, signal),

    async unpack(artifact, archive, signal) {
      const folder = folderOf(artifact)
      await mkdir(paths.versions, { recursive: true, mode: 0o755 })
      await removeUnfinished(paths.versions)
      const temporary = join(paths.versions, `${unfinished}${randomBytes(6).toString('hex')}`)
      try {
        await mkdir(temporary, { mode: 0o755 })
        const files = await unpackArchive(archive, temporary, signal)
        const manifest: Manifest = { version: artifact.version, sha256: artifact.sha256, files }
        await writeAtomic(join(temporary, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, {
          mode: 0o644,
        })
        // What is there is damaged: it was looked at before the download.
        await rm(folder, { recursive: true, force: true })
        await rename(temporary, folder)
        await syncFolder(paths.versions)
      } catch (error) {
        await rm(temporary, { recursive: true, force: true })
        throw asStorageFault(error, paths.versions)
      } finally {
        // Also when it cannot be unpacked: the next try then gets it anew.
        if (!signal.aborted) await rm(archive, { force: true })
      }
    },

    async use(artifact) {
      const folder = folderOf(artifact)
      const before = await inUseName()
      if (before === basename(folder)) return
      const temporary = `${paths.current}.${randomBytes(6).toString('hex')}.tmp`
      // Relative, so that an image can be made below another root.
      await symlink(relative(dirname(paths.current), folder), temporary)
      await rename(temporary, paths.current)
      await syncFolder(dirname(paths.current))
      await prune(new Set([basename(folder), before]))
    },
  }

  async function prune(kept: ReadonlySet<string | undefined>): Promise<void> {
    for (const name of await readdir(paths.versions)) {
      if (kept.has(name)) continue
      await rm(join(paths.versions, name), { recursive: true, force: true }).then(
        () => log.info('an old sidecar version was removed', { version: name }),
        (error) =>
          log.warn('an old sidecar version cannot be removed', { version: name, error: errorText(error) }),
      )
    }
    await rm(paths.downloads, { recursive: true, force: true }).catch(() => {})
  }
}

async function removeUnfinished(versions: string): Promise<void> {
  for (const name of await readdir(versions)) {
    if (name.startsWith(unfinished)) await rm(join(versions, name), { recursive: true, force: true })
  }
}
