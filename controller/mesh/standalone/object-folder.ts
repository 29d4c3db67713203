import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
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
 * The objects of the mesh in files. istiod reads them below `root`, and only while they are *shown*: it
 * tells its registry of changes after its start, not always of what it finds at its start, so it is started
 * over an empty folder and the objects are moved in afterwards, by one rename.
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
  /** The object for which istiod refuses a file, going by its words; undefined if the file is foreign. */
  suspect(file: string, why: string): WrittenObject | undefined
  /** Takes out an object that istiod refuses, so that it reads the others again; false if it changed meanwhile. */
  expel(suspect: WrittenObject, why: string): Promise<boolean>
}

/** Objects of one file by `refText`, the one written last at the end. */
interface Content {
  readonly objects: ReadonlyMap<string, WrittenObject>
  readonly stamp: string
}

const maxFileBytes = 4 * 1024 * 1024
const maxObjectBytes = 256 * 1024
/** Then it may be tried again: another istiod may take it. */
const refusedForMs = 60_000

export async function openObjectFolder(folder: string, clock: Clock): Promise<ObjectFolder> {
  const root = join(folder, 'config')
  const shown = join(root, 'objects')
  const hidden = join(folder, 'hidden')
  const staging = join(folder, 'staging')
  const expelled = join(folder, 'expelled')
  const files = new Map<string, Content>()
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

  function find(ref: ObjectRef): WrittenObject | undefined {
    return files.get(fileName(ref))?.objects.get(refText(ref))
  }

  /** The objects of a file with some changed; the changed ones come last, undefined takes one out. */
  async function change(
    name: string,
    changes: ReadonlyMap<string, WrittenObject | undefined>,
  ): Promise<void> {
    const objects = new Map(files.get(name)?.objects)
    for (const [key, written] of changes) {
      objects.delete(key)
      if (written !== undefined) objects.set(key, written)
    }
    if (objects.size === 0) {
      await rm(join(place, name), { force: true })
      files.delete(name)
    } else {
      await replace(name, fileText(objects.values()))
      files.set(name, { objects, stamp: await stampOf(join(place, name)) })
    }
    await syncFolder(place)
  }

  async function replace(name: string, text: string): Promise<void> {
    // Staged outside: istiod gives up a whole reload when a file vanishes while it walks its folder.
    const temporary = join(staging, randomBytes(8).toString('hex'))
    try {
      await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true })
      if (parseFile(await readFile(temporary, 'utf8')) === undefined) {
        throw new MooringError('INTERNAL', { detail: `${name} cannot be read back` })
      }
      await rename(temporary, join(place, name))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }

  async function look(): Promise<{ readonly foreign: readonly ForeignFile[] }> {
    const foreign: ForeignFile[] = []
    const seen = new Set<string>()
    for (const path of await yamlFiles(root, shown, place)) {
      const name = basename(path)
      const own = dirname(path) === place
      const stamp = await stampOf(path)
      if (stamp === '') continue
      if (!own || files.get(name)?.stamp !== stamp) {
        const text = await readBounded(path).catch((error: unknown) => ({ fault: errorText(error) }))
        const written = own && typeof text === 'string' ? parseFile(text) : undefined
        if (written?.every(({ object }) => fileName(refOf(object)) === name) !== true) {
          foreign.push({ file: path, fault: typeof text === 'string' ? undefined : text.fault })
          // What cannot be read just now is there all the same: forgotten, its objects would stay for ever.
          if (own && typeof text !== 'string' && files.has(name)) seen.add(name)
          continue
        }
        const objects = new Map(written.map((each) => [refText(refOf(each.object)), each]))
        files.set(name, { objects, stamp })
      }
      seen.add(name)
    }
    for (const name of files.keys()) if (!seen.has(name)) files.delete(name)
    return { foreign }
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
        const key = refText(refOf(object))
        const name = fileName(refOf(object))
        const known = find(refOf(object))
        const unchanged = known !== undefined && sameObject(known.object, object)
        if (unchanged && files.get(name)?.stamp === (await stampOf(join(place, name)))) return false
        const bad = refused.get(key)
        if (bad !== undefined && clock.now() < bad.until && sameObject(bad.object, object)) {
          throw new MooringError('REQUEST_INVALID', { detail: `istiod refuses ${key}: ${bad.why}` })
        }
        if (JSON.stringify(object).length > maxObjectBytes) {
          throw new MooringError('REQUEST_INVALID', { detail: `${key} is too large` })
        }
        await change(name, new Map([[key, { object, revision: revisionOf(object) }]]))
        refused.delete(key)
        return true
      }),
    remove: (ref) =>
      inTurn(async () => {
        refused.delete(refText(ref))
        if (find(ref) === undefined) return false
        await change(fileName(ref), new Map([[refText(ref), undefined]]))
        return true
      }),
    nudge: (refs) =>
      inTurn(async () => {
        for (const [name, group] of Map.groupBy(refs, fileName)) {
          const changes = new Map<string, WrittenObject>()
          for (const ref of group) {
            const written = find(ref)
            if (written !== undefined) changes.set(refText(ref), nudged(written))
          }
          if (changes.size > 0) await change(name, changes)
        }
      }),
    written: () => [...files.values()].flatMap(({ objects }) => [...objects.values()]),
    find,
    look: () => inTurn(look),
    hide: () => inTurn(() => move(hidden)),
    show: () => inTurn(() => move(shown)),
    suspect(file, why) {
      const objects = [...(files.get(basename(file))?.objects.values() ?? [])]
      if (dirname(file) !== place) return undefined
      // istiod names the object unless it fails validation; the file was good before its last change.
      const named = /cannot parse proto message for (\S+):/.exec(why)?.[1]
      return objects.find(({ object }) => object.metadata.name === named) ?? objects.at(-1)
    },
    expel: ({ object, revision }, why) =>
      inTurn(async () => {
        const key = refText(refOf(object))
        const written = find(refOf(object))
        if (written?.revision !== revision) return false
        await writeFile(join(expelled, `${revision}.json`), fileText([written]), { mode: 0o600 })
        await change(fileName(refOf(object)), new Map([[key, undefined]]))
        refused.set(key, { object, why, until: clock.now() + refusedForMs })
        return true
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

async function readBounded(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > maxFileBytes) throw new MooringError('REQUEST_TOO_LARGE', { detail: `${size} bytes` })
  return readFile(path, 'utf8')
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
