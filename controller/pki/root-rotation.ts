import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'
import { hasEntry } from '../../shared/lifecycle.ts'
import type { VmRecord } from '../store/records.ts'
import { makeRoot, meshPem, placeFolder, rootFiles, syncFolder } from './mesh-pair.ts'
import { type MeshRoots, readMeshRoots, readServedRoots, rootPlaces, trustDigest } from './mesh-roots.ts'

export interface RootRotationDeps {
  /** The folder of the mesh's authority. */
  readonly folder: string
  readonly trustDomain: string
  /** Life of workload certificates. */
  readonly certificateTtlSeconds: number
  readonly clock: Clock
}

/**
 * Where a rotation of the root is.
 *
 * - `trust`: every VM is told to trust both roots; certificates are of the old one
 * - `sign`: certificates are of the new one
 * - `done`: the new one alone is trusted
 */
export type RootStage = 'trust' | 'sign' | 'done'

export interface RootRotation {
  readonly stage: RootStage
  /** What to do next, for people. */
  readonly next: string
}

/** Clocks of VMs may be behind. */
const slackMs = 5 * 60_000

/**
 * Takes a rotation of the root one step further: another root that is trusted beside the present one, and, when all
 * VMs trust both, certificates under it. A running controller follows by itself. Throws `TOO_EARLY` while it is too
 * early for the next step; repeated, it changes nothing more.
 */
export async function rotateRoot(deps: RootRotationDeps, vms: Iterable<VmRecord>): Promise<RootRotation> {
  const { folder } = deps
  const roots = await rootsIn(folder)
  if (roots.before !== undefined) return signing()
  if (roots.next === undefined) {
    const made = await makeRoot(deps)
    await placeFolder(folder, rootPlaces.next, {
      [rootFiles.key]: made.keyPem,
      [rootFiles.certificate]: meshPem(made.certificate),
    })
    return { stage: 'trust', next: 'rotate-root again, when all VMs trust both' }
  }
  const trusted = trustDigest(roots.trusted)
  const behind = [...vms].filter((vm) => mustTrust(vm) && vm.trust !== trusted).length
  if (behind > 0) throw tooEarly(`${behind} VMs do not trust both roots yet`)
  if ((await readServedRoots(folder))?.trusted !== trusted) {
    throw tooEarly('istiod does not trust both roots yet; the controller has to run')
  }
  // In this order: cut short in between, there is no present root, and the next reader makes it of the next one.
  await rename(join(folder, rootPlaces.current), join(folder, rootPlaces.before))
  await rename(join(folder, rootPlaces.next), join(folder, rootPlaces.current))
  await syncFolder(folder)
  return signing()
}

/** Drops the old root. Throws `TOO_EARLY` while certificates of it may be valid, and `NOT_FOUND` when there is none. */
export async function finishRootRotation(deps: RootRotationDeps): Promise<RootRotation> {
  const { folder, clock } = deps
  const roots = await rootsIn(folder)
  if (roots.before === undefined) {
    if (roots.next === undefined) throw new MooringError('NOT_FOUND', { detail: 'no rotation lasts' })
    throw tooEarly('certificates are still of the old root: rotate-root comes first')
  }
  const served = await readServedRoots(folder)
  if (served?.signer !== trustDigest(meshPem(roots.current.certificate))) {
    throw tooEarly('istiod does not sign under the new root yet; the controller has to run')
  }
  const endsAt = served.since + deps.certificateTtlSeconds * 1000
  // Short lives end early: a tenth of one is slack enough for it.
  const at = endsAt + Math.min(slackMs, deps.certificateTtlSeconds * 100)
  if (clock.now() < at) {
    throw tooEarly(`certificates of the old root may be valid until ${new Date(at).toISOString()}`)
  }
  await rm(join(folder, rootPlaces.before), { recursive: true, force: true })
  await syncFolder(folder)
  return { stage: 'done', next: 'nothing' }
}

async function rootsIn(folder: string): Promise<MeshRoots> {
  const roots = await readMeshRoots(folder)
  if (roots === undefined) throw new MooringError('NOT_FOUND', { detail: `${folder}: it was never started` })
  return roots
}

/** One that is lost serves nobody, and gets everything anew when it comes back. */
function mustTrust({ phase }: VmRecord): boolean {
  return hasEntry(phase) && phase !== 'lost'
}

function signing(): RootRotation {
  return { stage: 'sign', next: 'rotate-root --finish, when the last certificate of the old root has ended' }
}

function tooEarly(detail: string): MooringError {
  return new MooringError('TOO_EARLY', { detail })
}
