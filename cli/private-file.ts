import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { errorText, MooringError } from '../shared/errors.ts'

/** A file that only its owner may read, in the making: it appears whole under its name, or not at all. */
export interface PrivateFile {
  /** Writes the content and gives the file its name. */
  finish(content: string | Uint8Array): Promise<void>
  /** Gives up; nothing stays behind. */
  discard(): Promise<void>
}

/**
 * Opens `file` (mode 0600, folders 0700) beside its final place. Opened before a secret is asked for, so that
 * a secret that is shown only once is not lost to a folder that cannot be written.
 */
export async function createPrivateFile(file: string): Promise<PrivateFile> {
  const folder = path.dirname(path.resolve(file))
  const draft = path.join(folder, `.${path.basename(file)}.${randomBytes(6).toString('hex')}`)
  let handle: FileHandle
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    handle = await open(draft, 'wx', 0o600)
  } catch (cause) {
    throw new MooringError('CONFIG_INVALID', {
      detail: `${file} cannot be written: ${errorText(cause)}`,
      cause,
    })
  }
  const discard = async () => {
    await handle.close()
    await rm(draft, { force: true })
  }
  return {
    discard,
    async finish(content) {
      try {
        await handle.writeFile(content)
        await handle.sync()
        await handle.close()
        await rename(draft, file)
      } catch (cause) {
        await rm(draft, { force: true })
        throw new MooringError('CONFIG_INVALID', {
          detail: `${file} cannot be written: ${errorText(cause)}`,
          cause,
        })
      }
    },
  }
}

/** Writes a file that only its owner may read, atomically. */
export async function writePrivateFile(file: string, content: string): Promise<void> {
  const draft = await createPrivateFile(file)
  await draft.finish(content)
}
