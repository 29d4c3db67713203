import { chmod, chown, mkdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { asStorageFault, namesIn, readBounded, writeAtomic } from '../host/files.ts'
import { exactFolders, type SidecarFile, writableFolders } from './files.ts'

export interface RunFolderDeps {
  /** pilot-agent's working folder. */
  readonly path: string
  /** The agent's state folder, above it. */
  readonly state: string
  readonly user: { readonly uid: number; readonly gid: number }
}

/** pilot-agent's working folder. Root owns it, so that a broken sidecar cannot lead the agent's writes astray. */
export interface RunFolder {
  /** Whether exactly these files are there, with content, owner and mode. */
  holds(files: readonly SidecarFile[]): Promise<boolean>
  /** Writes those that differ, and removes what may not be there, as keys of another identity. */
  write(files: readonly SidecarFile[]): Promise<void>
}

const maxFileBytes = 128 * 1024

/** The folder at `path`; `user` is who pilot-agent runs as. */
export function createRunFolder({ path: run, state, user }: RunFolderDeps): RunFolder {
  const same = async (file: SidecarFile): Promise<boolean> => {
    const path = join(run, file.path)
    const info = await stat(path).catch(() => undefined)
    if (info === undefined || (info.mode & 0o777) !== file.mode) return false
    if (file.ofSidecar && info.uid !== user.uid) return false
    return (await readBounded(path, maxFileBytes)) === file.content
  }

  return {
    async holds(files) {
      if (!(await isOpenTo(run, state))) return false
      for (const folder of writableFolders) {
        const info = await stat(join(run, folder)).catch(() => undefined)
        if (info?.uid !== user.uid) return false
      }
      for (const file of files) if (!(await same(file))) return false
      return (await strays(run, files)).length === 0
    },

    async write(files) {
      try {
        await mkdir(run, { recursive: true, mode: 0o755 })
        await openTo(run, state)
        for (const folder of [...exactFolders, ...writableFolders]) {
          await mkdir(join(run, folder), { recursive: true, mode: 0o755 })
        }
        for (const folder of writableFolders) await chown(join(run, folder), user.uid, user.gid)
        for (const path of await strays(run, files)) await rm(path, { recursive: true, force: true })
        for (const file of files) {
          if (await same(file)) continue
          const owner = file.ofSidecar ? user : {}
          await writeAtomic(join(run, file.path), file.content, { mode: file.mode, ...owner })
        }
      } catch (error) {
        throw asStorageFault(error, run)
      }
    },
  }
}

async function strays(run: string, files: readonly SidecarFile[]): Promise<readonly string[]> {
  const expected = new Set([...files.map((file) => file.path), ...exactFolders, ...writableFolders])
  const found: string[] = []
  for (const folder of exactFolders) {
    for (const name of await namesIn(join(run, folder))) {
      if (!expected.has(`${folder}/${name}`)) found.push(join(run, folder, name))
    }
  }
  return found
}

/** Each folder from `inner` up to `outer`. */
function chain(inner: string, outer: string): readonly string[] {
  return inner.length <= outer.length || inner === dirname(inner)
    ? [outer]
    : [inner, ...chain(dirname(inner), outer)]
}

async function isOpenTo(inner: string, outer: string): Promise<boolean> {
  for (const folder of chain(inner, outer)) {
    const info = await stat(folder).catch(() => undefined)
    if (info === undefined || (info.mode & 0o001) === 0) return false
  }
  return true
}

/** The sidecar's user must get through to its files and program, whatever mode the state folder was made with. */
async function openTo(inner: string, outer: string): Promise<void> {
  for (const folder of chain(inner, outer)) {
    const { mode } = await stat(folder)
    if ((mode & 0o001) === 0) await chmod(folder, (mode & 0o7777) | 0o011)
  }
}
