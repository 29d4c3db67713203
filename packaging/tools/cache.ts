import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** Where tools of the release are kept between runs. */
export function toolsFolder(env: Readonly<Record<string, string | undefined>>): string {
  const base = env.XDG_CACHE_HOME
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'mooring', 'packaging')
}

/**
 * The folder `path`, made by `make` where it is missing. It appears complete or not at all; of two that make it
 * at a time, the first one stays.
 */
export async function provideFolder(path: string, make: (folder: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path
  await mkdir(dirname(path), { recursive: true })
  const unfinished = await mkdtemp(join(dirname(path), `.${basename(path)}-`))
  try {
    await make(unfinished)
    await rename(unfinished, path)
  } catch (error) {
    if (!(await exists(path))) throw error
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return path
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
