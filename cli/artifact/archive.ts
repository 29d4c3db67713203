import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { extract, pack } from 'tar-stream'
import { errorText, isMooringError } from '../../shared/errors.ts'
import { archOf } from './elf.ts'
import {
  type Arch,
  type ArchiveName,
  archiveFileName,
  archiveFiles,
  maxFileBytes,
  notASidecar,
  type SidecarPackage,
  wantedFile,
} from './layout.ts'

/** The three files of a sidecar, wherever they lie. */
export type SidecarFiles = Readonly<Record<ArchiveName, string>>

/** An archive as the controller's configuration names it. */
export interface BuiltArchive {
  readonly version: string
  readonly arch: Arch
  readonly file: string
  readonly sha256: string
  readonly size: number
}

/** Writes the three files of a package below `folder`. Throws `ARTIFACT_INVALID` when one is missing. */
export async function unpackPackage({ entries }: SidecarPackage, folder: string): Promise<SidecarFiles> {
  const found: Partial<Record<ArchiveName, string>> = {}
  try {
    for await (const { name, isFile, size, content } of entries) {
      const wanted = isFile ? wantedFile(name) : undefined
      if (wanted !== undefined && size > maxFileBytes)
        throw notASidecar(`${name} is larger than a sidecar is`)
      if (wanted === undefined || found[wanted] !== undefined) {
        for await (const _ of content);
        continue
      }
      const path = join(folder, wanted)
      await mkdir(dirname(path), { recursive: true })
      await pipeline(content, createWriteStream(path, { flags: 'wx' }))
      found[wanted] = path
    }
  } catch (error) {
    throw isMooringError(error) ? error : notASidecar(errorText(error), error)
  }
  return complete(found)
}

/** Packs the files into `folder`; the same files give the same bytes. */
export async function buildArchive(
  version: string,
  files: SidecarFiles,
  folder: string,
): Promise<BuiltArchive> {
  const arch = await checkFiles(files)
  const file = join(folder, archiveFileName(version, arch))
  await mkdir(folder, { recursive: true })
  const temporary = `${file}.tmp`
  const archive = pack()
  try {
    const written = pipeline(archive, createGzip({ level: 9 }), createWriteStream(temporary, { flush: true }))
    const fed = (async () => {
      for (const { name, mode } of archiveFiles) {
        const { size } = await stat(files[name])
        const header = { name, mode, size, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' }
        await pipeline(createReadStream(files[name]), archive.entry(header))
      }
      archive.finalize()
    })().catch((error: Error) => {
      archive.destroy(error)
      throw error
    })
    await Promise.all([written, fed])
    await rename(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
  return { version, arch, file, ...(await digestOf(file)) }
}

/** Unpacks an archive into `folder` and says for which machines it is. Throws `ARTIFACT_INVALID`. */
export async function checkArchive(file: string, folder: string): Promise<Arch> {
  const found: Partial<Record<ArchiveName, string>> = {}
  const entries = extract()
  const consume = async () => {
    for await (const entry of entries) {
      const { name, type, size = 0 } = entry.header
      const known = archiveFiles.find((one) => one.name === name)
      if (known === undefined || type !== 'file' || size > maxFileBytes || found[known.name] !== undefined) {
        throw notASidecar(`it holds ${JSON.stringify(name.slice(0, 80))}, which does not belong in it`)
      }
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true })
      await pipeline(entry, createWriteStream(path, { flags: 'wx' }))
      found[known.name] = path
    }
  }
  try {
    await Promise.all([pipeline(createReadStream(file), createGunzip(), entries), consume()])
  } catch (error) {
    throw isMooringError(error) ? error : notASidecar(errorText(error), error)
  }
  return checkFiles(complete(found))
}

/** SHA-256 and size of a file. */
export async function digestOf(file: string): Promise<{ readonly sha256: string; readonly size: number }> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return { sha256: hash.digest('hex'), size: (await stat(file)).size }
}

/** Both programs for the same kind of machine, and a template that is JSON once its places are filled. */
async function checkFiles(files: SidecarFiles): Promise<Arch> {
  const [envoy, pilotAgent] = [await archOf(files['bin/envoy']), await archOf(files['bin/pilot-agent'])]
  if (envoy !== pilotAgent) throw notASidecar(`Envoy is for ${envoy}, pilot-agent for ${pilotAgent}`)
  const template = (await readFile(files['envoy_bootstrap_tmpl.json'], 'utf8')).trim()
  if (!template.startsWith('{') || !template.includes('"static_resources"')) {
    throw notASidecar('its bootstrap template is none of Envoy')
  }
  return envoy
}

function complete(found: Partial<Record<ArchiveName, string>>): SidecarFiles {
  const missing = archiveFiles.filter(({ name }) => found[name] === undefined).map(({ name }) => name)
  if (missing.length > 0) throw notASidecar(`${missing.join(', ')} is missing`)
  return found as SidecarFiles
}
