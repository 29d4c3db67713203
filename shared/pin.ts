import { createHash } from 'node:crypto'

/** `sha256:` and the hex of SHA-256 over the SubjectPublicKeyInfo (DER) of the controller's authority. */
export const pinPattern = '^sha256:[0-9a-f]{64}$'

/**
 * The pin of a public key. A joiner that has only a pin accepts a chain in which a CA certificate has this
 * key; `openssl x509 -in ca.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum` prints it too.
 */
export function keyPin(spkiDer: Uint8Array): string {
  return `sha256:${createHash('sha256').update(spkiDer).digest('hex')}`
}
