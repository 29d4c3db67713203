import { createPrivateKey, createPublicKey, sign } from 'node:crypto'

/** Tags of ASN.1 DER (X.690) that a certificate request consists of. */
const tag = { integer: 0x02, bitString: 0x03, sequence: 0x30, attributes: 0xa0 } as const

/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, section 3.2). */
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex')

/**
 * A certificate request (PKCS#10, RFC 2986) in PEM for this P-256 key, without subject and attributes: the
 * controller names VMs, and reads nothing of it but the key. Written out because these few bytes are all that
 * the agent needs of X.509; a package for it costs 5 MB of memory for as long as the agent runs.
 */
export function makeCertificateRequest(privateKey: string): string {
  const key = createPrivateKey(privateKey)
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const version = der(tag.integer, Buffer.of(0))
  const subject = der(tag.sequence)
  const info = der(tag.sequence, version, subject, spki, der(tag.attributes))
  const signature = der(tag.bitString, Buffer.of(0), sign('sha256', info, key))
  const request = der(tag.sequence, info, ecdsaWithSha256, signature)
  const lines = request.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n')
}

function der(type: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  // Lengths from 128 on take their own number of bytes first; a request with a P-256 key is far below 65,536.
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(type, ...size), content])
}
