import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import { type Compression, createDecompress } from './decompress.ts'
import { notASidecar, type PackageEntry, type SidecarPackage } from './layout.ts'

interface Member {
  readonly name: string
  readonly start: number
  readonly size: number
}

const magic = '!<arch>\n'
const headerBytes = 60
const maxMembers = 16
const suffixes: Readonly<Record<string, Compression>> = {
  '': 'none',
  '.gz': 'gzip',
  '.xz': 'xz',
  '.zst': 'zstd',
  '.lzma': 'lzma',
}

/** Opens a deb (deb(5)): an ar archive of two tar archives. Throws `ARTIFACT_INVALID`. */
export async function openDeb(file: string): Promise<SidecarPackage> {
  const handle = await open(file)
  let members: readonly Member[]
  try {
    members = await readMembers(handle)
  } finally {
    await handle.close()
  }
  const control = tarOf(file, members, 'control.tar')
  let version: string | undefined
  for await (const { name, size, content } of control) {
    if (!/^(\.\/)?control$/.test(name) || size > 65536) {
      for await (const _ of content);
      continue
    }
    version = /^Version: *(\S+)/m.exec(await text(content))?.[1]
  }
  if (version === undefined) throw notASidecar(`${file} does not say its version`)
  return { version, entries: tarOf(file, members, 'data.tar') }
}

async function readMembers(handle: FileHandle): Promise<readonly Member[]> {
  const { size: end } = await handle.stat()
  const head = await read(handle, 0, magic.length)
  if (head !== magic) throw notASidecar('it is no deb')
  const members: Member[] = []
  for (let at = magic.length; at + headerBytes <= end && members.length < maxMembers; ) {
    const header = await read(handle, at, headerBytes)
    const size = Number(header.slice(48, 58).trim())
    const start = at + headerBytes
    if (header.slice(58) !== '`\n' || !Number.isSafeInteger(size) || size < 0 || start + size > end) {
      throw notASidecar('the deb is damaged or cut short')
    }
    members.push({ name: header.slice(0, 16).trim().replace(/\/$/, ''), start, size })
    at = start + size + (size % 2)
  }
  return members
}

async function read(handle: FileHandle, at: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, at)
  return buffer.toString('latin1', 0, bytesRead)
}

async function* tarOf(file: string, members: readonly Member[], name: string): AsyncGenerator<PackageEntry> {
  const member = members.find((one) => one.name.startsWith(name))
  const compression = member === undefined ? undefined : suffixes[member.name.slice(name.length)]
  if (member === undefined || compression === undefined) {
    throw notASidecar(`it holds no ${name} that can be read`)
  }
  const source = createReadStream(file, { start: member.start, end: member.start + member.size - 1 })
  const entries = extract()
  const fed = pipeline(source, createDecompress(compression), entries)
  // Whoever walks the entries sees the failure there.
  fed.catch(() => {})
  for await (const entry of entries) {
    const { name, type, size = 0 } = entry.header
    yield { name, isFile: type === 'file', size, content: entry as unknown as AsyncIterable<Uint8Array> }
  }
  await fed
}
