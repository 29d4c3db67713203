import { notASidecar, type PackageEntry } from './layout.ts'

const headerBytes = 110
const maxNameBytes = 4096
const fileType = 0o100000
const typeMask = 0o170000

/** The files of a cpio archive (cpio(5), "new ASCII format"), as they come. */
export async function* readCpio(source: AsyncIterable<Uint8Array>): AsyncGenerator<PackageEntry> {
  const bytes = createReader(source)
  for (;;) {
    const header = (await bytes.take(headerBytes)).toString('latin1')
    if (!/^07070[12][\da-fA-F]{104}$/.test(header)) throw notASidecar('its cpio archive is damaged')
    const field = (index: number) => Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16)
    const [mode, size, nameBytes] = [field(1), field(6), field(11)]
    if (nameBytes > maxNameBytes) throw notASidecar('its cpio archive is damaged')
    const name = (await bytes.take(nameBytes)).toString('utf8').replace(/\0.*$/s, '')
    await bytes.take(padding(headerBytes + nameBytes))
    if (name === 'TRAILER!!!') return
    let left = size
    const content = async function* () {
      while (left > 0) {
        const part = await bytes.some(left)
        left -= part.length
        yield part
      }
    }
    yield { name, isFile: (mode & typeMask) === fileType, size, content: content() }
    // What nobody read is passed over.
    while (left > 0) left -= (await bytes.some(left)).length
    await bytes.take(padding(size))
  }
}

function padding(length: number): number {
  return (4 - (length % 4)) % 4
}

function createReader(source: AsyncIterable<Uint8Array>) {
  const chunks = source[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)

  async function some(most: number): Promise<Buffer> {
    while (rest.length === 0) {
      const { value, done } = await chunks.next()
      if (done) throw notASidecar('its cpio archive is cut short')
      rest = Buffer.from(value)
    }
    const part = rest.subarray(0, most)
    rest = rest.subarray(part.length)
    return part
  }

  return {
    some,
    async take(length: number): Promise<Buffer> {
      const parts: Buffer[] = []
      for (let left = length; left > 0; ) {
        const part = await some(left)
        parts.push(part)
        left -= part.length
      }
      return Buffer.concat(parts)
    },
  }
}
