import { createPrivateKey, createPublicKey } from 'node:crypto'
import t from 'tap'
import { makeKey, makeProof } from '../../../../agent/join/key.ts'
import { checkProof } from '../../../../controller/join/proof.ts'
import type { JoinRequest } from '../../../../shared/api/join.ts'

const key = makeKey()
const publicKey = createPublicKey(key)
const bound = { nonce: 'n'.repeat(20), method: 'token', pool: 'web', csr: 'CSR' }

function request(change: Partial<typeof bound> = {}): JoinRequest {
  const { nonce, method, pool, csr } = { ...bound, ...change }
  return {
    ...{ wire: 1, pool, csr, proof: { ...makeProof(key, bound), nonce } },
    evidence: method === 'token' ? { method, token: 't'.repeat(16) } : { method: 'renew', vm: 'vm-1' },
    facts: { hostname: 'h', arch: 'amd64', bootId: 'b', agentVersion: '1', nics: [] },
  }
}

t.test('every key is P-256, and none like another', async (t) => {
  t.equal(createPrivateKey(key).asymmetricKeyDetails?.namedCurve, 'prime256v1')
  t.not(makeKey(), makeKey())
})

t.test('the controller accepts the proof, and for nothing else', async (t) => {
  t.doesNotThrow(() => checkProof(request(), publicKey))
  for (const change of [{ nonce: 'm'.repeat(20) }, { method: 'renew' }, { pool: 'db' }, { csr: 'OTHER' }]) {
    t.throws(() => checkProof(request(change), publicKey), { code: 'PROOF_INVALID' })
  }
  t.throws(() => checkProof(request(), createPublicKey(makeKey())), { code: 'PROOF_INVALID' })
})
