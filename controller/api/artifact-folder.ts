import { createHash, type Hash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type ArtifactPiece, ArtifactVersion } from '../../shared/api/artifact.ts'
import { SidecarArtifact } from '../../shared/api/bundle.ts'
import { Text, Time } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { errorText, MooringError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { createSerial } from '../join/serial.ts'
import { writeAtomic } from '../store/atomic-file.ts'

const Kept = Type.Object({
  ...SidecarArtifact.properties,
  version: ArtifactVersion,
  addedAt: Time,
  addedBy: Text,
})
/** An archive that was uploaded. */
export type KeptArtifact = Static<typeof Kept>
const Index = Type.Array(Kept, { maxItems: 64 })

export interface ArtifactFolderDeps {
  /** Nobody else writes here. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

export interface Piece {
  readonly sha256: string
  readonly about: ArtifactPiece
  readonly bytes: Buffer
  readonly by: string
}

/** Archives that operators uploaded: whole, of the digest that they are named by, and there after a crash. */
export interface ArtifactFolder {
  /** The newest first. */
  list(): readonly KeptArtifact[]
  fileOf(sha256: string): string | undefined
  /**
   * Takes the next piece; `check` throws what speaks against the archive. Throws `CONFLICT` for a piece out of turn,
   * `UNAVAILABLE` while another upload is under way, `ARTIFACT_REFUSED` for another digest, `DISK_FULL`.
   */
  receive(piece: Piece, check: () => void): Promise<{ readonly received: number; readonly served: boolean }>
  /** Offers it no longer, asks `users`, and deletes it when there is none. Throws `NOT_FOUND`, `ARTIFACT_IN_USE`. */
  remove(sha256: string, users: () => Promise<number>): Promise<void>
}

interface Upload {
  readonly sha256: string
  readonly file: string
  readonly hash: Hash
  received: number
  touchedAt: number
}

/** An upload of which nothing comes for so long was given up. */
const patienceMs = 60_000
const indexName = 'index.json'
/** RFC 1952, 2.3.1. */
const gzipMagic = Buffer.from([0x1f, 0x8b])

/** Reads what was kept; what a crash left of an upload is removed. */
export async function createArtifactFolder(deps: ArtifactFolderDeps): Promise<ArtifactFolder> {
  const { folder, clock, log } = deps
  const serial = createSerial()
  const fileOf = (sha256: string) => join(folder, `${sha256}.tar.gz`)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  let kept = await readKept()
  let upload: Upload | undefined

  async function readKept(): Promise<readonly KeptArtifact[]> {
    const listed = await readIndex(join(folder, indexName), log)
    const whole: KeptArtifact[] = []
    for (const one of listed) {
      const size = await stat(fileOf(one.sha256)).then(
        (found) => found.size,
        () => undefined,
      )
      if (size === one.size) whole.push(one)
      else log.error('an uploaded sidecar archive is gone or damaged; add it again', { ...one })
    }
    const names = new Set([indexName, ...whole.map(({ sha256 }) => `${sha256}.tar.gz`)])
    for (const name of await readdir(folder))
      if (!names.has(name)) await rm(join(folder, name), { force: true })
    return whole
  }

  const writeIndex = (next: readonly KeptArtifact[]) =>
    writeAtomic(join(folder, indexName), JSON.stringify(next), 0o600)

  async function receive({ sha256, about, bytes, by }: Piece, check: () => void) {
    const { offset, size, version, arch } = about
    if (kept.some((one) => one.sha256 === sha256)) return { received: size, served: true }
    check()
    const current = offset === 0 ? await begin(sha256, bytes) : upload
    if (current?.sha256 !== sha256)
      throw new MooringError('CONFLICT', { detail: 'no upload of it is under way' })
    // A repeated piece whose answer was lost.
    if (offset + bytes.length === current.received && offset > 0)
      return { received: current.received, served: false }
    const end = offset + bytes.length
    if (offset !== current.received || end > size || bytes.length === 0) {
      throw new MooringError('CONFLICT', { detail: `${current.received} bytes have arrived` })
    }
    await append(current, bytes, offset, end === size)
    if (end < size) return { received: end, served: false }
    upload = undefined
    await finish(current, { version, arch, sha256, size, addedAt: clock.now(), addedBy: by })
    return { received: size, served: true }
  }

  async function begin(sha256: string, first: Buffer): Promise<Upload> {
    if (upload !== undefined && upload.sha256 !== sha256 && clock.now() - upload.touchedAt < patienceMs) {
      throw new MooringError('UNAVAILABLE', { detail: 'another archive is being uploaded' })
    }
    if (!first.subarray(0, 2).equals(gzipMagic)) throw refused('it is no archive: it is not packed with gzip')
    await giveUp()
    const file = join(folder, `.${sha256}.part`)
    upload = { sha256, file, hash: createHash('sha256'), received: 0, touchedAt: clock.now() }
    return upload
  }

  async function giveUp(): Promise<void> {
    if (upload !== undefined) await rm(upload.file, { force: true })
    upload = undefined
  }

  async function append(current: Upload, bytes: Buffer, offset: number, isLast: boolean): Promise<void> {
    try {
      const file = await open(current.file, offset === 0 ? 'w' : 'r+', 0o600)
      try {
        for (let at = 0; at < bytes.length; ) {
          at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten
        }
        if (isLast) await file.sync()
      } finally {
        await file.close()
      }
    } catch (error) {
      await giveUp()
      throw storageFault(error, folder)
    }
    current.hash.update(bytes)
    current.received += bytes.length
    current.touchedAt = clock.now()
  }

  async function finish({ file, hash }: Upload, artifact: KeptArtifact): Promise<void> {
    const digest = hash.digest('hex')
    const target = fileOf(artifact.sha256)
    try {
      if (digest !== artifact.sha256) throw refused(`what arrived is sha256:${digest}`)
      await rename(file, target)
      await writeIndex([artifact, ...kept])
    } catch (error) {
      await rm(file, { force: true })
      await rm(target, { force: true })
      throw storageFault(error, folder)
    }
    kept = [artifact, ...kept]
    log.info('sidecar artifact added', { ...artifact })
  }

  async function remove(sha256: string, users: () => Promise<number>): Promise<void> {
    const before = kept
    const found = before.find((one) => one.sha256 === sha256)
    if (found === undefined) throw new MooringError('NOT_FOUND', { detail: `artifact ${sha256}` })
    // Out of the offer before its users are counted: nobody new comes to have it meanwhile.
    kept = before.filter((one) => one !== found)
    try {
      const inUse = await users()
      if (inUse > 0) throw new MooringError('ARTIFACT_IN_USE', { detail: `${found.version}, by ${inUse}` })
      await writeIndex(kept)
    } catch (error) {
      kept = before
      throw storageFault(error, folder)
    }
    await rm(fileOf(sha256), { force: true })
    log.info('sidecar artifact removed', { version: found.version, sha256 })
  }

  return {
    list: () => kept,
    fileOf: (sha256) => (kept.some((one) => one.sha256 === sha256) ? fileOf(sha256) : undefined),
    receive: (piece, check) => serial(() => receive(piece, check)),
    remove: (sha256, users) => serial(() => remove(sha256, users)),
  }
}

async function readIndex(path: string, log: Log): Promise<readonly KeptArtifact[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  try {
    const value: unknown = JSON.parse(text)
    if (Value.Check(Index, value)) return value
    log.error('the list of uploaded sidecar archives does not fit; add them again', { file: path })
  } catch (error) {
    log.error('the list of uploaded sidecar archives is damaged; add them again', { error: errorText(error) })
  }
  return []
}

function refused(detail: string): MooringError {
  return new MooringError('ARTIFACT_REFUSED', { detail })
}

function storageFault(error: unknown, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (!['ENOSPC', 'EDQUOT'].includes(code)) return error
  return new MooringError('DISK_FULL', { detail: folder, cause: error })
}
