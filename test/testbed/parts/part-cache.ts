import { access, chmod, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { acquireFileLock } from '../file-lock.ts'
import type { Progress, ProgressStep } from '../progress.ts'
import { TestbedError } from '../testbed-error.ts'

export interface PartCacheDeps {
  readonly root: string
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

export interface PartRecipe {
  /** Names version and everything else that decides what the part is; the folder is called so. */
  readonly key: string
  /** What a person reads while it is made. */
  readonly label: string
  /** Files that the finished folder must hold. */
  readonly files: readonly string[]
  /** Files (or folders, for all in them) to be run. */
  readonly executables: readonly string[]
  /** Whether the modes of files belong to the part, as they do in the root of a machine. @defaultValue false */
  readonly keepsModes?: boolean
  /** Makes the part in an empty folder. */
  make(dir: string, step: ProgressStep): Promise<void>
}

export interface PartCache {
  readonly root: string
  /** The folder of the part, which is made first where it is missing. */
  provide(recipe: PartRecipe): Promise<string>
}

/** Where parts are kept when nobody says otherwise. */
export function defaultCacheRoot(env: NodeJS.ProcessEnv): string {
  const base = env.XDG_CACHE_HOME
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'mooring', 'testbed')
}

/** A folder of folders, each made once by one process and then never changed. */
export function createPartCache(deps: PartCacheDeps): PartCache {
  const { root, progress, signal } = deps

  async function provide(recipe: PartRecipe): Promise<string> {
    const dir = join(root, recipe.key)
    if (await isComplete(dir, recipe.files)) return dir
    await mkdir(root, { recursive: true }).catch((cause: Error) => {
      throw new TestbedError('CACHE_UNUSABLE', cause.message, cause)
    })
    let waiting: ProgressStep | undefined
    const lock = await acquireFileLock(join(root, `${recipe.key}.lock`), {
      ...(signal === undefined ? {} : { signal }),
      onWait: () => {
        waiting = progress.start(`${recipe.label}: waiting for another process that makes it`)
      },
    })
    waiting?.done()
    try {
      // Whoever held the lock before may have made it.
      if (await isComplete(dir, recipe.files)) return dir
      await makeUnderLock(recipe, dir)
      return dir
    } finally {
      await lock.release()
    }
  }

  async function makeUnderLock(recipe: PartRecipe, dir: string): Promise<void> {
    await removeLeftovers(root, recipe.key)
    const unfinished = join(root, `${recipe.key}.making-${process.pid}`)
    await mkdir(unfinished)
    const step = progress.start(recipe.label)
    try {
      await recipe.make(unfinished, step)
      if (!(await isComplete(unfinished, recipe.files)))
        throw new TestbedError('BUILD_FAILED', `${recipe.label} did not give ${recipe.files.join(', ')}`)
      if (recipe.keepsModes !== true) await makeReadable(unfinished)
      else await chmod(unfinished, 0o755)
      for (const name of recipe.executables) await makeExecutable(join(unfinished, name))
      await rm(dir, { recursive: true, force: true })
      await rename(unfinished, dir)
      step.done()
    } catch (error) {
      step.failed()
      await rm(unfinished, { recursive: true, force: true })
      throw error
    }
  }

  return { root, provide }
}

async function isComplete(dir: string, files: readonly string[]): Promise<boolean> {
  const found = await Promise.allSettled(files.map((file) => access(join(dir, file))))
  return found.every((result) => result.status === 'fulfilled')
}

// Only called under the key's lock, so whoever made these is dead.
async function removeLeftovers(root: string, key: string): Promise<void> {
  for (const name of await readdir(root))
    if (name.startsWith(`${key}.making-`)) await rm(join(root, name), { recursive: true, force: true })
}

// The sidecar runs as uid 1337, whatever the umask of whoever made the part; Go's module files come as 0444.
async function makeReadable(path: string): Promise<void> {
  const info = await lstat(path)
  if (info.isSymbolicLink()) return
  await chmod(path, info.isDirectory() ? 0o755 : 0o644)
  if (info.isDirectory()) for (const name of await readdir(path)) await makeReadable(join(path, name))
}

async function makeExecutable(path: string): Promise<void> {
  const info = await lstat(path)
  if (info.isFile()) await chmod(path, 0o755)
  if (info.isDirectory()) for (const name of await readdir(path)) await makeExecutable(join(path, name))
}
