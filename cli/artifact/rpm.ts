import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { readCpio } from './cpio.ts'
import { type Compression, createDecompress } from './decompress.ts'
import { notASidecar, type SidecarPackage } from './layout.ts'

const leadBytes = 96
const introBytes = 16
const entryBytes = 16
const maxHeaderBytes = 32 * 1024 * 1024
/** rpmtag.h. */
const tags = { version: 1001, compressor: 1125 } as const

interface Header {
  readonly end: number
  text(tag: number): string | undefined
}

/** Opens an rpm (format 4: lead, signature, header, then a cpio archive). Throws `ARTIFACT_INVALID`. */
export async function openRpm(file: string): Promise<SidecarPackage> {
  const handle = await open(file)
  try {
    const bytes = async (at: number, length: number) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, at)
      if (bytesRead < length) throw notASidecar('the rpm is cut short')
      return buffer
    }
    const header = async (at: number): Promise<Header> => {
      const intro = await bytes(at, introBytes)
      const [count, size] = [intro.readUInt32BE(8), intro.readUInt32BE(12)]
      const length = count * entryBytes + size
      if (intro.readUInt32BE(0) !== 0x8eade801 || length > maxHeaderBytes) throw notASidecar('it is no rpm')
      const index = await bytes(at + introBytes, length)
      return { end: at + introBytes + length, text: (tag) => textOf(index, count, tag) }
    }
    if ((await bytes(0, leadBytes)).readUInt32BE(0) !== 0xedabeedb) throw notASidecar('it is no rpm')
    const signature = await header(leadBytes)
    const about = await header(Math.ceil(signature.end / 8) * 8)
    const version = about.text(tags.version)
    if (version === undefined) throw notASidecar(`${file} does not say its version`)
    const compression = compressionOf(about.text(tags.compressor) ?? 'gzip')
    const source = createReadStream(file, { start: about.end })
    const content = createDecompress(compression)
    source.once('error', (error) => content.destroy(error))
    source.pipe(content)
    return { version, entries: readCpio(content) }
  } finally {
    await handle.close()
  }
}

/** Of type STRING (6); rpm ends texts with a zero byte. */
function textOf(index: Buffer, count: number, tag: number): string | undefined {
  for (let entry = 0; entry < count; entry++) {
    const at = entry * entryBytes
    if (index.readUInt32BE(at) !== tag || index.readUInt32BE(at + 4) !== 6) continue
    const start = count * entryBytes + index.readUInt32BE(at + 8)
    const end = index.indexOf(0, start)
    return end < 0 ? undefined : index.toString('utf8', start, Math.min(end, start + 256))
  }
  return undefined
}

function compressionOf(name: string): Compression {
  if (name === 'gzip' || name === 'xz' || name === 'lzma' || name === 'zstd') return name
  throw notASidecar(`it is packed with ${JSON.stringify(name.slice(0, 20))}`)
}
