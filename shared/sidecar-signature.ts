import { type KeyObject, verify } from 'node:crypto'

/**
 * What the signature of a sidecar archive is made over: its digest, so that a large archive is read once; the words
 * keep it from meaning anything else.
 */
export function sidecarStatement(sha256: string): Buffer {
  return Buffer.from(`mooring sidecar archive sha256:${sha256}\n`)
}

/** Whether an Ed25519 signature (RFC 8032, base64) of an archive is by the owner of the public key. */
export function isSignedBy(sha256: string, signature: string, key: KeyObject): boolean {
  return (
    key.asymmetricKeyType === 'ed25519' &&
    verify(null, sidecarStatement(sha256), key, Buffer.from(signature.slice(0, 200), 'base64'))
  )
}
