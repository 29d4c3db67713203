import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { MooringError } from '../../shared/errors.ts'
import { notASidecar } from './layout.ts'

/** What is signed: the digest, so that a large archive is read once; the words keep it from meaning anything else. */
function statement(sha256: string): Buffer {
  return Buffer.from(`mooring sidecar archive sha256:${sha256}\n`)
}

/** Writes `FILE.sig` beside an archive: Ed25519 (RFC 8032) by a key in PKCS#8, PEM. */
export async function signArchive(file: string, sha256: string, keyFile: string): Promise<string> {
  const key = createPrivateKey(await pem(keyFile))
  if (key.asymmetricKeyType !== 'ed25519') throw notAKey(keyFile)
  await writeFile(`${file}.sig`, `${sign(null, statement(sha256), key).toString('base64')}\n`)
  return `${file}.sig`
}

/** Throws `ARTIFACT_INVALID` unless `FILE.sig` is by the owner of the public key. */
export async function verifySignature(file: string, sha256: string, keyFile: string): Promise<void> {
  const key = createPublicKey(await pem(keyFile))
  if (key.asymmetricKeyType !== 'ed25519') throw notAKey(keyFile)
  const text = await readFile(`${file}.sig`, 'utf8').catch((cause: unknown) => {
    throw notASidecar(`there is no ${file}.sig`, cause)
  })
  const signature = Buffer.from(text.slice(0, 200), 'base64')
  if (!verify(null, statement(sha256), key, signature)) throw notASidecar('its signature is by another key')
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
