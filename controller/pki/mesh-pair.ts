import { createPublicKey, generateKeyPair, randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import forge from 'node-forge'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'

/** RSA key and certificate of an authority of the mesh. */
export interface MeshPair {
  /** PKCS#1, PEM. */
  readonly keyPem: string
  readonly key: forge.pki.rsa.PrivateKey
  readonly certificate: forge.pki.Certificate
}

const day = 86_400_000
const rootLifeMs = 3650 * day
/** Life of an intermediate, in milliseconds. */
export const intermediateLifeMs = 730 * day
/** Certificates count from a little before, for clocks that are slow. */
const skewMs = 5 * 60_000
const keyBits = { root: 3072, intermediate: 2048 } as const

/** Names of the files of a root. */
export const rootFiles = { key: 'root-key.pem', certificate: 'root-cert.pem' } as const

export interface MakingDeps {
  readonly trustDomain: string
  readonly clock: Clock
}

/** A new root, self-signed. */
export async function makeRoot({ trustDomain, clock }: MakingDeps): Promise<MeshPair> {
  const keys = await rsaKeys(keyBits.root)
  const certificate = certify({
    subject: authorityName(trustDomain, 'root'),
    issuer: undefined,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    notBefore: clock.now() - skewMs,
    notAfter: clock.now() + rootLifeMs,
    pathLength: undefined,
  })
  return { keyPem: keys.pem, key: keys.privateKey, certificate }
}

/** A new intermediate under `root`; it lives no longer than that. */
export async function makeIntermediate(
  root: MeshPair,
  { trustDomain, clock }: MakingDeps,
): Promise<MeshPair> {
  const keys = await rsaKeys(keyBits.intermediate)
  const certificate = certify({
    subject: authorityName(trustDomain, 'intermediate'),
    issuer: root.certificate,
    publicKey: keys.publicKey,
    signingKey: root.key,
    notBefore: clock.now() - skewMs,
    notAfter: Math.min(clock.now() + intermediateLifeMs, root.certificate.validity.notAfter.getTime()),
    pathLength: 0,
  })
  return { keyPem: keys.pem, key: keys.privateKey, certificate }
}

function authorityName(trustDomain: string, role: string): forge.pki.CertificateField[] {
  return [
    { name: 'organizationName', value: trustDomain },
    { name: 'commonName', value: `Mooring mesh ${role} ${randomBytes(4).toString('hex')}` },
  ]
}

/** Puts a folder `name` with `files` into `folder`, all of it or nothing. */
export async function placeFolder(
  folder: string,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const target = join(folder, name)
  const made = join(folder, `.making-${randomBytes(8).toString('hex')}`)
  await mkdir(made, { mode: 0o700 })
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(made, file), content, { mode: 0o600, flag: 'wx', flush: true })
  }
  await syncFolder(made)
  // A folder is replaced by two renames; between them there is none, and the next start makes it again.
  await rename(target, `${made}-old`).catch(ignoreMissing)
  await rename(made, target)
  await rm(`${made}-old`, { recursive: true, force: true })
  await syncFolder(folder)
}

/** The pair in a folder; undefined when there is none. Throws `STORE_UNREADABLE`. */
export async function readMeshPair(
  folder: string,
  names: { readonly key: string; readonly certificate: string },
): Promise<MeshPair | undefined> {
  const [keyFile, certificateFile] = [join(folder, names.key), join(folder, names.certificate)]
  try {
    const [keyText, certificateText] = await Promise.all([
      readFile(keyFile, 'utf8'),
      readFile(certificateFile, 'utf8'),
    ])
    const spki = (text: string) => createPublicKey(text).export({ type: 'spki', format: 'der' })
    if (!spki(keyText).equals(spki(certificateText))) {
      throw new MooringError('STORE_UNREADABLE', { detail: 'key and certificate do not belong together' })
    }
    return {
      keyPem: keyText,
      key: forge.pki.privateKeyFromPem(keyText),
      certificate: forge.pki.certificateFromPem(certificateText),
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MooringError('STORE_UNREADABLE', { detail: `${folder}: ${errorText(error)}`, cause: error })
  }
}

/** By node:crypto, outside the event loop and some hundred times as fast as node-forge. */
async function rsaKeys(bits: number): Promise<{
  readonly pem: string
  readonly privateKey: forge.pki.rsa.PrivateKey
  readonly publicKey: forge.pki.rsa.PublicKey
}> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: bits,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    pem: privateKey,
    privateKey: forge.pki.privateKeyFromPem(privateKey),
    publicKey: forge.pki.publicKeyFromPem(publicKey) as forge.pki.rsa.PublicKey,
  }
}

function certify(request: {
  readonly subject: forge.pki.CertificateField[]
  /** Undefined: signs itself. */
  readonly issuer: forge.pki.Certificate | undefined
  readonly publicKey: forge.pki.rsa.PublicKey
  readonly signingKey: forge.pki.rsa.PrivateKey
  readonly notBefore: number
  readonly notAfter: number
  readonly pathLength: number | undefined
}): forge.pki.Certificate {
  const { issuer, pathLength } = request
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = request.publicKey
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`
  certificate.validity.notBefore = new Date(request.notBefore)
  certificate.validity.notAfter = new Date(request.notAfter)
  certificate.setSubject(request.subject)
  certificate.setIssuer(issuer?.subject.attributes ?? request.subject)
  certificate.setExtensions([
    {
      name: 'basicConstraints',
      cA: true,
      critical: true,
      ...(pathLength !== undefined && { pathLenConstraint: pathLength }),
    },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    { name: 'subjectKeyIdentifier' },
    {
      name: 'authorityKeyIdentifier',
      keyIdentifier: (issuer ?? certificate).generateSubjectKeyIdentifier().getBytes(),
    },
  ])
  certificate.sign(request.signingKey, forge.md.sha256.create())
  return certificate
}

/** Whether `root` signed `certificate`. */
export function issuedBy(certificate: forge.pki.Certificate, root: forge.pki.Certificate): boolean {
  try {
    return certificate.isIssuer(root) && root.verify(certificate)
  } catch {
    return false
  }
}

/** One PEM block, with its line end. */
export function meshPem(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n')
}

/** Makes renames in the folder last. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
