import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { type JoinRequest, proofText } from '../../shared/api/join.ts'

/** A fresh P-256 key, PKCS#8 in PEM. It never leaves the VM. */
export function makeKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Shows that the joiner holds the key of the request, for this nonce. */
export function makeProof(
  privateKey: string,
  { nonce, method, pool, csr }: { nonce: string; method: string; pool: string; csr: string },
): JoinRequest['proof'] {
  const csrSha256 = createHash('sha256').update(csr).digest('hex')
  const text = Buffer.from(proofText({ nonce, method, pool, csrSha256 }))
  const key = createPrivateKey(privateKey)
  const signature = sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' })
  return { nonce, signature: signature.toString('base64url') }
}
