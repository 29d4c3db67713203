import { mkdtemp, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { MooringError } from '../../shared/errors.ts'

/** Works in a folder of one's own below `parent`, gone at the end. Throws `CONFIG_INVALID` when none can be made. */
export async function inFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(resolve(parent), '.mooring-artifact-')).catch((cause: unknown) => {
    throw new MooringError('CONFIG_INVALID', { detail: `${parent} is no folder that can be written`, cause })
  })
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
