import { createPublicKey, generateKeyPair, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import forge from 'node-forge'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'

export interface MeshRootDeps {
  /** Folder that holds both parts; nothing else may be in it. */
  readonly folder: string
  readonly trustDomain: string
  readonly clock: Clock
}

/** The mesh's certificate authority: a root whose key rests, and an intermediate with which istiod signs. */
export interface MeshRoot {
  /** PEM: what workloads trust. */
  readonly rootCertificates: string
  /** Folder in the form of istiod's ROOT_CA_DIR (istio pilot/pkg/bootstrap/istio_ca.go). */
  readonly istiodFolder: string
  /** Unix milliseconds: the end of the intermediate. */
  readonly notAfter: number
  /** Makes a new intermediate when the present one is past half its life; true if it did: restart istiod. */
  renew(): Promise<boolean>
}

const day = 86_400_000
const rootLifeMs = 3650 * day
const intermediateLifeMs = 730 * day
/** Certificates count from a little before, for clocks that are slow. */
const skewMs = 5 * 60_000
const keyBits = { root: 3072, intermediate: 2048 } as const

const rootFiles = { key: 'root-key.pem', certificate: 'root-cert.pem' } as const
/** Names that istiod looks for (istio security/pkg/pki/ca/ca.go). */
const istiodFiles = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  root: 'root-cert.pem',
} as const

/**
 * Loads the mesh's authority, or makes it at the first start. Each set of files is made in a folder of its
 * own and renamed into place, so a crash leaves a whole set or none.
 */
export async function createMeshRoot(deps: MeshRootDeps): Promise<MeshRoot> {
  const { folder, clock } = deps
  const rootFolder = join(folder, 'root')
  const istiodFolder = join(folder, 'istiod')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (name.startsWith('.making-')) await rm(join(folder, name), { recursive: true, force: true })
  }

  const root = (await readPair(rootFolder, rootFiles)) ?? (await makeRoot())
  let intermediate = await readPair(istiodFolder, istiodFiles)
  if (intermediate === undefined || !issuedBy(intermediate.certificate, root.certificate)) {
    intermediate = await makeIntermediate()
  }
  let notAfter = intermediate.certificate.validity.notAfter.getTime()

  async function makeRoot(): Promise<Pair> {
    const keys = await rsaKeys(keyBits.root)
    const certificate = certify({
      subject: authorityName('root'),
      issuer: undefined,
      publicKey: keys.publicKey,
      signingKey: keys.privateKey,
      notBefore: clock.now() - skewMs,
      notAfter: clock.now() + rootLifeMs,
      pathLength: undefined,
    })
    await place(rootFolder, { [rootFiles.key]: keys.pem, [rootFiles.certificate]: pem(certificate) })
    return { key: keys.privateKey, certificate }
  }

  async function makeIntermediate(): Promise<Pair> {
    const keys = await rsaKeys(keyBits.intermediate)
    const certificate = certify({
      subject: authorityName('intermediate'),
      issuer: root.certificate,
      publicKey: keys.publicKey,
      signingKey: root.key,
      notBefore: clock.now() - skewMs,
      notAfter: Math.min(clock.now() + intermediateLifeMs, root.certificate.validity.notAfter.getTime()),
      pathLength: 0,
    })
    await place(istiodFolder, {
      [istiodFiles.certificate]: pem(certificate),
      [istiodFiles.key]: keys.pem,
      [istiodFiles.chain]: `${pem(certificate)}${pem(root.certificate)}`,
      [istiodFiles.root]: pem(root.certificate),
    })
    return { key: keys.privateKey, certificate }
  }

  function authorityName(role: string): forge.pki.CertificateField[] {
    return [
      { name: 'organizationName', value: deps.trustDomain },
      { name: 'commonName', value: `Mooring mesh ${role} ${randomBytes(4).toString('hex')}` },
    ]
  }

  /** Puts a folder with `files` where `target` is, all of it or nothing. */
  async function place(target: string, files: Readonly<Record<string, string>>): Promise<void> {
    const made = join(folder, `.making-${randomBytes(8).toString('hex')}`)
    await mkdir(made, { mode: 0o700 })
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(made, name), content, { mode: 0o600, flag: 'wx', flush: true })
    }
    await sync(made)
    // A folder is replaced by two renames; between them there is none, and the next start makes it again.
    await rename(target, `${made}-old`).catch(ignoreMissing)
    await rename(made, target)
    await rm(`${made}-old`, { recursive: true, force: true })
    await sync(folder)
  }

  return {
    rootCertificates: pem(root.certificate),
    istiodFolder,
    get notAfter() {
      return notAfter
    },
    async renew() {
      if (notAfter - clock.now() > intermediateLifeMs / 2) return false
      const before = notAfter
      notAfter = (await makeIntermediate()).certificate.validity.notAfter.getTime()
      // Near the root's own end a new intermediate would live no longer than the old.
      return notAfter > before
    },
  }
}

interface Pair {
  readonly key: forge.pki.rsa.PrivateKey
  readonly certificate: forge.pki.Certificate
}

async function readPair(
  folder: string,
  names: { readonly key: string; readonly certificate: string },
): Promise<Pair | undefined> {
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

function issuedBy(certificate: forge.pki.Certificate, root: forge.pki.Certificate): boolean {
  try {
    return certificate.isIssuer(root) && root.verify(certificate)
  } catch {
    return false
  }
}

function pem(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n')
}

async function sync(folder: string): Promise<void> {
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
