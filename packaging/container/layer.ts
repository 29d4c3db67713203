import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import path from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack } from 'tar-stream'

type TarHeader = Parameters<ReturnType<typeof pack>['entry']>[0]

/** What is at one place of an image; all is root's unless it says otherwise. */
export type LayerEntry = { readonly name: string } & (
  | { readonly folder: true; readonly mode?: number; readonly uid?: number }
  | { readonly link: string }
  | { readonly content: string; readonly mode?: number }
  | { readonly file: string; readonly mode?: number }
)

/** A packed layer, a file named by its digest. */
export interface Layer {
  /** `sha256:…` of what is stored. */
  readonly digest: string
  /** `sha256:…` of the archive inside. */
  readonly diffId: string
  readonly size: number
}

export interface LayerOptions {
  /** Where it is put. */
  readonly folder: string
  /** Seconds since 1970: the time of every entry. */
  readonly epoch: number
  /** Packed quickly instead of small. */
  readonly draft: boolean
}

/** Packs a layer (OCI image layer specification); the same entries give the same bytes, in whatever order they come. */
export async function packLayer(entries: readonly LayerEntry[], options: LayerOptions): Promise<Layer> {
  const { folder, epoch, draft } = options
  const unnamed = path.join(folder, `.layer-${process.pid}`)
  const [content, stored] = [createHash('sha256'), createHash('sha256')]
  const archive = pack()
  const written = pipeline(
    archive,
    through(content),
    createGzip({ level: draft ? 1 : 9 }),
    through(stored),
    createWriteStream(unnamed),
  )
  const fed = (async () => {
    for (const entry of complete(entries)) await add(archive, entry, epoch)
    archive.finalize()
  })().catch((error: Error) => {
    archive.destroy(error)
    throw error
  })
  await Promise.all([written, fed])
  const hex = stored.digest('hex')
  const { size } = await stat(unnamed)
  await rename(unnamed, path.join(folder, hex))
  return { digest: `sha256:${hex}`, diffId: `sha256:${content.digest('hex')}`, size }
}

/** In the order of their names, each after the folder that it is in. */
function complete(entries: readonly LayerEntry[]): readonly LayerEntry[] {
  const all = new Map<string, LayerEntry>()
  for (const { name } of entries) {
    const parts = name.split('/').slice(0, -1)
    for (let depth = 1; depth <= parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/')
      all.set(parent, { name: parent, folder: true })
    }
  }
  for (const entry of entries) all.set(entry.name, entry)
  return [...all.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

async function add(archive: ReturnType<typeof pack>, entry: LayerEntry, epoch: number): Promise<void> {
  const { name } = entry
  const same = { mtime: new Date(epoch * 1000), uid: 0, gid: 0, uname: '', gname: '' }
  if ('file' in entry) {
    const { size } = await stat(entry.file)
    const header = { ...same, name, mode: entry.mode ?? 0o644, size }
    await pipeline(createReadStream(entry.file), archive.entry(header))
    return
  }
  const header: TarHeader =
    'link' in entry
      ? { ...same, name, type: 'symlink', linkname: entry.link, mode: 0o777 }
      : 'folder' in entry
        ? { ...same, name: `${name}/`, type: 'directory', mode: entry.mode ?? 0o755, ...owner(entry.uid) }
        : { ...same, name, mode: entry.mode ?? 0o644 }
  await new Promise<void>((resolve, reject) => {
    archive.entry(header, 'content' in entry ? entry.content : '', (error) =>
      error ? reject(error) : resolve(),
    )
  })
}

function owner(uid: number | undefined) {
  return uid === undefined ? {} : { uid, gid: uid }
}

function through(hash: ReturnType<typeof createHash>): Transform {
  return new Transform({
    transform(part: Buffer, _encoding, done) {
      hash.update(part)
      done(null, part)
    },
  })
}
