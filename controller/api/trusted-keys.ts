import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { errorText, MooringError } from '../../shared/errors.ts'

/** Public keys (Ed25519, PEM) of whoever may sign sidecar archives. Throws `CONFIG_INVALID`, naming the file. */
export async function readTrustedKeys(files: readonly string[]): Promise<readonly KeyObject[]> {
  return Promise.all(
    files.map(async (file) => {
      try {
        const key = createPublicKey(await readFile(file, 'utf8'))
        if (key.asymmetricKeyType === 'ed25519') return key
      } catch (cause) {
        throw new MooringError('CONFIG_INVALID', {
          detail: `sidecar.trustedKeys: ${file} is no public key: ${errorText(cause)}`,
          cause,
        })
      }
      throw new MooringError('CONFIG_INVALID', { detail: `sidecar.trustedKeys: ${file} is no Ed25519 key` })
    }),
  )
}
