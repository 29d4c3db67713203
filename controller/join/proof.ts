import { createHash, type KeyObject, verify } from 'node:crypto'
import { type JoinRequest, proofText } from '../../shared/api/join.ts'
import { MooringError } from '../../shared/errors.ts'

/** Throws `PROOF_INVALID` unless the joiner signed this very request, for this nonce, with the request's key. */
export function checkProof(request: JoinRequest, publicKey: KeyObject): void {
  const text = proofText({
    nonce: request.proof.nonce,
    method: request.evidence.method,
    pool: request.pool,
    csrSha256: createHash('sha256').update(request.csr).digest('hex'),
  })
  const signature = Buffer.from(request.proof.signature, 'base64url')
  const holds =
    signature.length === 64 &&
    verify('sha256', Buffer.from(text), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
  if (!holds) throw new MooringError('PROOF_INVALID')
}
