import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { errorText, MooringError } from '../../../shared/errors.ts'
import { writeAtomic } from '../../store/atomic-file.ts'

/** A public key as a JSON Web Key (RFC 7517). */
export interface PublicJwk {
  readonly kty: string
  readonly n: string
  readonly e: string
  readonly kid: string
  readonly alg: 'RS256'
  readonly use: 'sig'
}

export interface SigningKeys {
  /** Signs what is minted from now on. */
  readonly current: { readonly key: KeyObject; readonly kid: string }
  /** What is accepted: the current key, and while keys rotate the one before it. */
  readonly accepted: readonly PublicJwk[]
}

/**
 * The issuer's keys in a file of one or more PEM blocks, the current one first; made at the first start.
 * RSA, since istiod's verifier accepts RS256 alone unless it discovers more (go-oidc, `verify.go`).
 */
export async function loadSigningKeys(file: string): Promise<SigningKeys> {
  const blocks = (await read(file)) ?? (await make(file))
  try {
    const keys = blocks.map((block) => createPrivateKey(block))
    const jwks = keys.map(publicJwk)
    const [key] = keys
    const [jwk] = jwks
    if (key === undefined || jwk === undefined) {
      throw new MooringError('STORE_UNREADABLE', { detail: 'there is no key in it' })
    }
    return { current: { key, kid: jwk.kid }, accepted: jwks }
  } catch (error) {
    throw new MooringError('STORE_UNREADABLE', { detail: `${file}: ${errorText(error)}`, cause: error })
  }
}

async function read(file: string): Promise<string[] | undefined> {
  try {
    const text = await readFile(file, 'utf8')
    return text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? []
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MooringError('STORE_UNREADABLE', { detail: `${file}: ${errorText(error)}`, cause: error })
  }
}

async function make(file: string): Promise<string[]> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeAtomic(file, pem, 0o600)
  return [pem]
}

function publicJwk(key: KeyObject): PublicJwk {
  const { kty = '', n = '', e = '' } = createPublicKey(key).export({ format: 'jwk' })
  // The key's own thumbprint (RFC 7638) names it, so nobody has to keep a register of names.
  const kid = createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url')
  return { kty, n, e, kid, alg: 'RS256', use: 'sig' }
}
