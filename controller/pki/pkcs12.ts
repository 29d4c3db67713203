import { createHash, createHmac, generateKeyPair, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import forge from 'node-forge'

/** A key for a client certificate. RSA: it is what every browser, keystore and library takes out of a PKCS#12. */
export interface ClientKey {
  /** PKCS#1, PEM. */
  readonly pem: string
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
}

const keyBits = 3072
// Guesses of the password cost this much each; half a second of this process for the real one would be too much.
const rounds = 20_000

export async function makeClientKey(): Promise<ClientKey> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: keyBits,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  })
  return { pem: privateKey, spki: publicKey }
}

/**
 * Key and certificates as PKCS#12 (RFC 7292): the key under AES-256, the whole under a MAC of the password.
 *
 * @remarks Put together here and not by `forge.pkcs12.toPkcs12Asn1`: that writes certificates anew, and those with an
 * elliptic signature are not the same afterwards.
 */
export function pkcs12(content: {
  readonly keyPem: string
  /** PEM: the certificate of the key, then its issuers, of any algorithm. */
  readonly chain: string
  readonly password: string
  readonly name: string
}): Buffer {
  const { password } = content
  const [own = '', ...issuers] = content.chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []
  const id = createHash('sha1').update(own).digest('binary')
  const named = [
    attribute(forge.pki.oids.friendlyName, asn1Of(asn1.Type.BMPSTRING, content.name)),
    attribute(forge.pki.oids.localKeyId, asn1Of(asn1.Type.OCTETSTRING, id)),
  ]
  const certificates = [bag(forge.pki.oids.certBag, certificateBag(own), named)]
  for (const issuer of issuers) certificates.push(bag(forge.pki.oids.certBag, certificateBag(issuer), []))
  const key = bag(forge.pki.oids.pkcs8ShroudedKeyBag, encryptedKey(content.keyPem, password), named)
  const safe = der(sequence([data(der(sequence(certificates))), data(der(sequence([key])))]))
  const pfx = sequence([asn1Of(asn1.Type.INTEGER, '\x03'), data(safe), macData(safe, password)])
  return Buffer.from(der(pfx), 'binary')
}

const { asn1 } = forge

function encryptedKey(pem: string, password: string): forge.asn1.Asn1 {
  // PBES2 takes the password's bytes, the MAC its characters; OpenSSL reads both as UTF-8.
  const utf8 = forge.util.encodeUtf8(password)
  const info = forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(forge.pki.privateKeyFromPem(pem)))
  return forge.pki.encryptPrivateKeyInfo(info, utf8, { algorithm: 'aes256', count: rounds })
}

function certificateBag(pem: string): forge.asn1.Asn1 {
  const bytes = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64').toString('binary')
  return sequence([oid(forge.pki.oids.x509Certificate), explicit([asn1Of(asn1.Type.OCTETSTRING, bytes)])])
}

/** HMAC-SHA-1, the one that every reader knows; its key is of the password, in the manner of appendix B. */
function macData(safe: string, password: string): forge.asn1.Asn1 {
  const salt = randomBytes(16).toString('binary')
  const sha1 = forge.md.sha1.create()
  const key = forge.pkcs12.generateKey(password, forge.util.createBuffer(salt), 3, rounds, 20, sha1)
  const mac = createHmac('sha1', Buffer.from(key.getBytes(), 'binary')).update(safe, 'binary')
  const algorithm = sequence([oid(forge.pki.oids.sha1), asn1Of(asn1.Type.NULL, '')])
  const count = asn1Of(asn1.Type.INTEGER, asn1.integerToDer(rounds).getBytes())
  const digest = sequence([algorithm, asn1Of(asn1.Type.OCTETSTRING, mac.digest('binary'))])
  return sequence([digest, asn1Of(asn1.Type.OCTETSTRING, salt), count])
}

function bag(kind: string | undefined, content: forge.asn1.Asn1, attributes: forge.asn1.Asn1[]) {
  return sequence([oid(kind), explicit([content]), ...(attributes.length > 0 ? [set(attributes)] : [])])
}

function attribute(kind: string | undefined, value: forge.asn1.Asn1): forge.asn1.Asn1 {
  return sequence([oid(kind), set([value])])
}

function data(bytes: string): forge.asn1.Asn1 {
  return sequence([oid(forge.pki.oids.data), explicit([asn1Of(asn1.Type.OCTETSTRING, bytes)])])
}

function oid(name: string | undefined): forge.asn1.Asn1 {
  return asn1Of(asn1.Type.OID, asn1.oidToDer(name ?? '').getBytes())
}

function asn1Of(type: forge.asn1.Type, bytes: string): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, bytes)
}

function sequence(parts: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, parts)
}

function set(parts: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, parts)
}

function explicit(parts: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, 0, true, parts)
}

function der(value: forge.asn1.Asn1): string {
  return asn1.toDer(value).getBytes()
}
