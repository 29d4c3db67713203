import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { IstioObject, ObjectRef } from '../mesh.ts'
import { refOf, sameObject } from '../objects.ts'
import {
  fileName,
  fileText,
  nudged,
  parseFile,
  refText,
  revisionOf,
  type WrittenObject,
} from './object-file.ts'

/** A file that istiod reads and this program did not write. */
export interface ForeignFile {
  readonly file: string
  /** Why not even this program can read it; undefined when it can. */
  readonly fault: string | undefined
}

/**
 * The objects of the mesh as files, one each. istiod reads them at `root`, and only while they are *shown*:
 * it tells its registry of changes after its start, not always of what it finds at its start, so it is
 * started over an empty folder and the objects are moved in afterwards, by one rename.
 */
export interface ObjectFolder {
  /** What istiod's `configSources` names. */
  readonly root: string
  /** Writes an object; false when it was there already. */
  put(object: IstioObject): Promise<boolean>
  /** Deletes an object; false when it was not there. */
  remove(ref: ObjectRef): Promise<boolean>
  /** Changes objects without changing what they mean. */
  nudge(refs: readonly ObjectRef[]): Promise<void>
  /** Everything this program wrote, as of its last look. */
  written(): readonly WrittenObject[]
  find(ref: ObjectRef): WrittenObject | undefined
  /** Looks at the folder again: what others did to it counts from now on. */
  look(): Promise<{ readonly foreign: readonly ForeignFile[] }>
  hide(): Promise<void>
  show(): Promise<void>
  /** The object in a file; undefined if it is foreign. */
  inFile(file: string): WrittenObject | undefined
  /**
   * Takes a file out that istiod refused, so that it reads the others again. Undefined when it holds
   * something else than this revision by now.
   */
  expel(file: string, revision: string, why: string): Promise<ObjectRef | undefined>
}

interface Entry extends WrittenObject {
  readonly stamp: string
}

const maxFileBytes = 512 * 1024
/** Then it may be tried again: another istiod may take it. */
const refusedForMs = 60_000

export async function openObjectFolder(folder: string, clock: Clock): Promise<ObjectFolder> {
  const root = join(folder, 'config')
  const shown = join(root, 'objects')
  const hidden = join(folder, 'hidden')
  const staging = join(folder, 'staging')
  const expelled = join(folder, 'expelled')
  const entries = new Map<string, Entry>()
  /** Contents that istiod refused: writing one again would only stop its reloads again. */
  const refused = new Map<string, { readonly object: IstioObject; readonly why: string; until: number }>()

  await rm(staging, { recursive: true, force: true })
  for (const path of [root, staging, expelled]) await mkdir(path, { recursive: true, mode: 0o700 })
  let place = (await exists(shown)) ? shown : hidden
  await mkdir(place, { recursive: true, mode: 0o700 })
  await look()

  // One change at a time: a write must not be lost in a folder that is just being moved.
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = last.then(change, change)
    last = result.catch(() => undefined)
    return result.catch((error: unknown) => {
      if (error instanceof MooringError) throw error
      throw new MooringError('MESH_UNAVAILABLE', { detail: errorText(error), cause: error })
    })
  }

  async function write(name: string, written: WrittenObject): Promise<void> {
    const text = fileText(written)
    if (Buffer.byteLength(text) > maxFileBytes) {
      throw new MooringError('REQUEST_INVALID', { detail: `${refText(refOf(written.object))} is too large` })
    }
    // Staged outside: istiod gives up a whole reload when a file vanishes while it walks its folder.
    const temporary = join(staging, randomBytes(8).toString('hex'))
    try {
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      if (parseFile(await readFile(temporary, 'utf8')) === undefined) {
        throw new MooringError('INTERNAL', { detail: `${name} cannot be read back` })
      }
      await rename(temporary, join(place, name))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    await syncFolder(place)
    entries.set(name, { ...written, stamp: await stampOf(join(place, name)) })
  }

  async function look(): Promise<{ readonly foreign: readonly ForeignFile[] }> {
    const foreign: ForeignFile[] = []
    const seen = new Set<string>()
    for (const path of await yamlFiles(root, shown, place)) {
      const name = nameOf(path)
      const stamp = await stampOf(path)
      if (stamp === '') continue
      if (name !== undefined && entries.get(name)?.stamp === stamp) {
        seen.add(name)
        continue
      }
      const text = await readFile(path, 'utf8').catch((error: unknown) => ({ fault: errorText(error) }))
      const own = typeof text === 'string' ? parseFile(text) : undefined
      if (own !== undefined && name === fileName(refOf(own.object))) {
        entries.set(name, { ...own, stamp })
        seen.add(name)
      } else {
        foreign.push({ file: path, fault: typeof text === 'string' ? undefined : text.fault })
      }
    }
    for (const name of entries.keys()) if (!seen.has(name)) entries.delete(name)
    return { foreign }
  }

  function nameOf(path: string): string | undefined {
    return path.startsWith(`${place}/`) ? path.slice(place.length + 1) : undefined
  }

  async function move(to: string): Promise<void> {
    if (place === to) return
    await rename(place, to)
    place = to
    await syncFolder(folder)
  }

  return {
    root,
    put: (object) =>
      inTurn(async () => {
        const name = fileName(refOf(object))
        const known = entries.get(name)
        const unchanged = known !== undefined && sameObject(known.object, object)
        if (unchanged && known.stamp === (await stampOf(join(place, name)))) return false
        const bad = refused.get(name)
        if (bad !== undefined && clock.now() < bad.until && sameObject(bad.object, object)) {
          throw new MooringError('REQUEST_INVALID', { detail: `istiod refuses ${name}: ${bad.why}` })
        }
        await write(name, { object, revision: revisionOf(object) })
        refused.delete(name)
        return true
      }),
    remove: (ref) =>
      inTurn(async () => {
        const name = fileName(ref)
        refused.delete(name)
        const known = entries.delete(name)
        await rm(join(place, name), { force: true })
        if (known) await syncFolder(place)
        return known
      }),
    nudge: (refs) =>
      inTurn(async () => {
        for (const name of refs.map(fileName)) {
          const entry = entries.get(name)
          if (entry !== undefined) await write(name, nudged(entry))
        }
      }),
    written: () => [...entries.values()],
    find: (ref) => entries.get(fileName(ref)),
    look: () => inTurn(look),
    hide: () => inTurn(() => move(hidden)),
    show: () => inTurn(() => move(shown)),
    inFile: (file) => entries.get(nameOf(file) ?? ''),
    expel: (file, revision, why) =>
      inTurn(async () => {
        const name = nameOf(file) ?? ''
        const entry = entries.get(name)
        if (entry?.revision !== revision) return undefined
        await rename(join(place, name), join(expelled, name))
        entries.delete(name)
        refused.set(name, { object: entry.object, why, until: clock.now() + refusedForMs })
        return refOf(entry.object)
      }),
  }
}

/** What istiod would read: everything below `root`, and what is hidden from it now. */
async function yamlFiles(root: string, shown: string, place: string): Promise<string[]> {
  const below = await readdir(root, { recursive: true, withFileTypes: true })
  const own = place === shown ? [] : await readdir(place, { withFileTypes: true })
  return [...below, ...own]
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Changes when a file is written or replaced; empty when there is none. */
async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true })
    return `${ino}-${size}-${mtimeNs}`
  } catch {
    return ''
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stampOf(path)) !== ''
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
