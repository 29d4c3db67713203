import { createHash, createPrivateKey, sign, verify } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'

export const checksumsName = 'SHA256SUMS'
const own = [checksumsName, `${checksumsName}.sig`]

/** Writes SHA256SUMS over every file below `folder`, as sha256sum(1) reads it; returns its text. */
export async function writeChecksums(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => !own.includes(file))
    .toSorted()
  const lines: string[] = []
  for (const file of files) lines.push(`${await sha256(path.join(folder, file))}  ${file}\n`)
  await writeFile(path.join(folder, checksumsName), lines.join(''))
  return lines.join('')
}

/**
 * Signs SHA256SUMS with an Ed25519 key (PKCS#8, PEM), and proves the signature. To verify it:
 * `openssl pkeyutl -verify -pubin -inkey release.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig`.
 */
export async function signChecksums(folder: string, keyFile: string): Promise<void> {
  const text = await readFile(path.join(folder, checksumsName))
  const key = createPrivateKey(await readFile(keyFile, 'utf8'))
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new Error(`${keyFile} is no Ed25519 key; openssl genpkey -algorithm ed25519 makes one`)
  }
  const signature = sign(null, text, key)
  if (!verify(null, text, key, signature)) throw new Error('the signature does not fit the key')
  await writeFile(path.join(folder, `${checksumsName}.sig`), signature)
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
