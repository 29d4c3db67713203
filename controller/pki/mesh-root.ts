import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { writeAtomic } from '../store/atomic-file.ts'
import {
  intermediateLifeMs,
  issuedBy,
  type MeshPair,
  makeIntermediate,
  makeRoot,
  meshPem,
  placeFolder,
  readMeshPair,
  rootFiles,
} from './mesh-pair.ts'
import { type MeshRoots, readMeshRoots, readServedRoots, rootPlaces, trustDigest } from './mesh-roots.ts'

export interface MeshRootDeps {
  /** Folder that holds all parts; nothing else may be in it. */
  readonly folder: string
  readonly trustDomain: string
  readonly clock: Clock
}

/** The mesh's certificate authority: a root whose key rests, and an intermediate with which istiod signs. */
export interface MeshRoot {
  /** PEM: what workloads trust; two while the root rotates. */
  readonly rootCertificates: string
  /** Folder in the form of istiod's ROOT_CA_DIR (istio pilot/pkg/bootstrap/istio_ca.go). */
  readonly istiodFolder: string
  /** Unix milliseconds: the end of the intermediate. */
  readonly notAfter: number
  /**
   * Follows a rotation of the root, and makes a new intermediate when the present one is past half its life; true
   * if istiod's folder changed: restart istiod.
   */
  renew(): Promise<boolean>
  /** Notes that istiod serves what is in its folder; `root-rotation.ts` counts from then. */
  served(): Promise<void>
}

/** Names that istiod looks for (istio security/pkg/pki/ca/ca.go). */
const istiodFiles = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  root: 'root-cert.pem',
} as const
const istiodPlace = 'istiod'

/**
 * Loads the mesh's authority, or makes it at the first start. Each set of files is made in a folder of its
 * own and renamed into place, so a crash leaves a whole set or none.
 */
export async function createMeshRoot(deps: MeshRootDeps): Promise<MeshRoot> {
  const { folder, clock } = deps
  const istiodFolder = join(folder, istiodPlace)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    if (name.startsWith('.making-')) await rm(join(folder, name), { recursive: true, force: true })
  }
  let roots = (await readMeshRoots(folder)) ?? (await first())
  let intermediate = await readMeshPair(istiodFolder, istiodFiles)
  await follow()

  async function first(): Promise<MeshRoots> {
    const current = await makeRoot(deps)
    const certificate = meshPem(current.certificate)
    await placeFolder(folder, rootPlaces.current, {
      [rootFiles.key]: current.keyPem,
      [rootFiles.certificate]: certificate,
    })
    return { current, next: undefined, before: undefined, trusted: certificate }
  }

  /** Makes istiod's folder what the roots ask for; true when it was not. */
  async function follow(): Promise<boolean> {
    const { current, trusted } = roots
    const isIssued = intermediate !== undefined && issuedBy(intermediate.certificate, current.certificate)
    if (isIssued && (await trustedByIstiod()) === trusted) return false
    await equip(isIssued && intermediate !== undefined ? intermediate : await makeIntermediate(current, deps))
    return true
  }

  async function equip(pair: MeshPair): Promise<void> {
    const { current, trusted } = roots
    const certificate = meshPem(pair.certificate)
    await placeFolder(folder, istiodPlace, {
      [istiodFiles.certificate]: certificate,
      [istiodFiles.key]: pair.keyPem,
      [istiodFiles.chain]: `${certificate}${meshPem(current.certificate)}`,
      // What istiod and every certificate that it gives out trust (istio security/pkg/server/ca/server.go).
      [istiodFiles.root]: trusted,
    })
    intermediate = pair
  }

  async function trustedByIstiod(): Promise<string | undefined> {
    return readFile(join(istiodFolder, istiodFiles.root), 'utf8').catch(() => undefined)
  }

  const notAfter = () => intermediate?.certificate.validity.notAfter.getTime() ?? 0

  return {
    istiodFolder,
    get rootCertificates() {
      return roots.trusted
    },
    get notAfter() {
      return notAfter()
    },
    async renew() {
      roots = (await readMeshRoots(folder)) ?? roots
      if (await follow()) return true
      if (notAfter() - clock.now() > intermediateLifeMs / 2) return false
      const before = notAfter()
      await equip(await makeIntermediate(roots.current, deps))
      // Near the root's own end a new intermediate would live no longer than the old.
      return notAfter() > before
    },
    async served() {
      const signer = trustDigest(meshPem(roots.current.certificate))
      const trusted = trustDigest(roots.trusted)
      const known = await readServedRoots(folder)
      if (known?.signer === signer && known.trusted === trusted) return
      const note = { signer, trusted, since: clock.now() }
      await writeAtomic(join(folder, rootPlaces.served), `${JSON.stringify(note)}\n`, 0o600)
    },
  }
}
