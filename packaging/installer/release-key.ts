import { createPrivateKey, createPublicKey } from 'node:crypto'

const place = "\nrelease_key=''\n"

/** The installer of a release, with the public half of the key (PKCS#8, PEM) that signs it built in. */
export function withReleaseKey(script: string, privateKey: string): string {
  const pem = createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'pem' })
  if (script.split(place).length !== 2) throw new Error('the installer has no place for the key of a release')
  return script.replace(place, () => `\nrelease_key='${pem.toString().trim()}'\n`)
}
