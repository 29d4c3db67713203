import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { MooringError } from '../../shared/errors.ts'
import { isSignedBy, sidecarStatement } from '../../shared/sidecar-signature.ts'
import { notASidecar } from './layout.ts'

/** Writes `FILE.sig` beside an archive: Ed25519 (RFC 8032) by a key in PKCS#8, PEM. */
export async function signArchive(file: string, sha256: string, keyFile: string): Promise<string> {
  const key = createPrivateKey(await pem(keyFile))
  if (key.asymmetricKeyType !== 'ed25519') throw notAKey(keyFile)
  await writeFile(`${file}.sig`, `${sign(null, sidecarStatement(sha256), key).toString('base64')}\n`)
  return `${file}.sig`
}

/** Throws `ARTIFACT_INVALID` unless `FILE.sig` is by the owner of the public key. */
export async function verifySignature(file: string, sha256: string, keyFile: string): Promise<void> {
  const key = createPublicKey(await pem(keyFile))
  if (key.asymmetricKeyType !== 'ed25519') throw notAKey(keyFile)
  const signature = await readSignature(file)
  if (signature === undefined) throw notASidecar(`there is no ${file}.sig`)
  if (!isSignedBy(sha256, signature, key)) throw notASidecar('its signature is by another key')
}

/** What `FILE.sig` beside an archive holds; undefined when there is none. */
export async function readSignature(file: string): Promise<string | undefined> {
  try {
    return (await readFile(`${file}.sig`, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw notASidecar(`${file}.sig cannot be read`, error)
  }
}

function pem(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MooringError('CONFIG_INVALID', { detail: `${file} cannot be read`, cause })
  })
}

function notAKey(file: string): MooringError {
  return new MooringError('CONFIG_INVALID', {
    detail: `${file} is no Ed25519 key; openssl genpkey -algorithm ed25519 makes one`,
  })
}
