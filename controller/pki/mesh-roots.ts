import { createHash } from 'node:crypto'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { MeshPair } from './mesh-pair.ts'
import { meshPem, readMeshPair, rootFiles, syncFolder } from './mesh-pair.ts'

/** The mesh's roots: the one under which is signed, and what a rotation has beside it. */
export interface MeshRoots {
  readonly current: MeshPair
  /** Trusted already, and not used yet. */
  readonly next: MeshPair | undefined
  /** Not used any more, and trusted still. */
  readonly before: MeshPair | undefined
  /** PEM of all of them, the oldest first. */
  readonly trusted: string
}

/** Folders of the roots, and the note of what istiod serves. */
export const rootPlaces = {
  current: 'root',
  next: 'root-next',
  before: 'root-before',
  served: 'served.json',
} as const

/** Since when istiod has signed under this root, with these trusted. */
export interface ServedRoots {
  readonly signer: string
  readonly trusted: string
  readonly since: number
}

/** What is there, after finishing a change of roots that was cut short; undefined before the first start. */
export async function readMeshRoots(folder: string): Promise<MeshRoots | undefined> {
  const at = (name: string) => join(folder, name)
  let current = await readMeshPair(at(rootPlaces.current), rootFiles)
  let next = await readMeshPair(at(rootPlaces.next), rootFiles)
  const before = await readMeshPair(at(rootPlaces.before), rootFiles)
  if (current === undefined && next !== undefined) {
    await rename(at(rootPlaces.next), at(rootPlaces.current))
    await syncFolder(folder)
    current = next
    next = undefined
  }
  if (current === undefined) return undefined
  const trusted = [before, current, next].flatMap((pair) => (pair ? [meshPem(pair.certificate)] : []))
  return { current, next, before, trusted: trusted.join('') }
}

/** Names what is trusted, whatever it is called elsewhere. */
export function trustDigest(pem: string): string {
  return createHash('sha256').update(pem.trim()).digest('hex').slice(0, 32)
}

/** What istiod serves, as the controller noted it; undefined when it never did. */
export async function readServedRoots(folder: string): Promise<ServedRoots | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, rootPlaces.served), 'utf8')) as ServedRoots
  } catch {
    // One that cannot be read is written anew, and time counts from then.
    return undefined
  }
}
