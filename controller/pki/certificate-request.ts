import 'reflect-metadata'
import { createHash, createPublicKey, type KeyObject, webcrypto } from 'node:crypto'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { isMooringError, MooringError } from '../../shared/errors.ts'

/** What of a certificate request counts: its key. Subject and attributes are the joiner's word, and ignored. */
export interface CertificateRequest {
  readonly publicKey: KeyObject
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** SHA-256 of `spki`, hex. */
  readonly thumbprint: string
}

// A P-256 key with an uncompressed point (RFC 5480) is always this long. One form only, so that one key has
// one thumbprint.
const spkiBytes = 91
const maxPem = 4096
const armour =
  /^-----BEGIN CERTIFICATE REQUEST-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE REQUEST-----\s*$/

/** Reads a PKCS#10 request (RFC 2986) and verifies its own signature. Throws `CSR_INVALID`. */
export async function readCertificateRequest(pem: string): Promise<CertificateRequest> {
  if (pem.length > maxPem) throw invalid('it is too long')
  if (!armour.test(pem)) throw invalid('it is not one PEM block of a certificate request')
  try {
    const request = new Pkcs10CertificateRequest(pem)
    const spki = Buffer.from(request.publicKey.rawData)
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    if (
      publicKey.asymmetricKeyType !== 'ec' ||
      publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1' ||
      spki.length !== spkiBytes
    ) {
      throw invalid('its key is not P-256')
    }
    if (!(await request.verify(webcrypto as Crypto))) throw invalid('its signature is wrong')
    return { publicKey, spki, thumbprint: createHash('sha256').update(spki).digest('hex') }
  } catch (error) {
    if (isMooringError(error)) throw error
    throw invalid('it cannot be read', error)
  }
}

function invalid(detail: string, cause?: unknown): MooringError {
  return new MooringError('CSR_INVALID', { detail, cause })
}
