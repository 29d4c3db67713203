import { createPublicKey } from 'node:crypto'
import t from 'tap'
import { makeCertificateRequest } from '../../../../agent/join/csr.ts'
import { makeKey } from '../../../../agent/join/key.ts'
import { readCertificateRequest } from '../../../../controller/pki/certificate-request.ts'

t.test('the controller reads the key out of the request, and its signature holds', async (t) => {
  // Signatures differ in length: a handful of keys meets every form of the outer length.
  for (let n = 0; n < 20; n += 1) {
    const key = makeKey()
    const { spki } = await readCertificateRequest(makeCertificateRequest(key))
    t.ok(spki.equals(createPublicKey(key).export({ type: 'spki', format: 'der' })))
  }
})
