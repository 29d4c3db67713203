import { createHash } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { int32s, type RpmEntry, readRpmHeader, stringType, writeRpmHeader } from './rpm-header.ts'

const leadBytes = 96
const buildHostTag = 1007
/** What nfpm writes into the header of signatures, as long as it signs nothing: sizes and the header's digest. */
const signatureTags = { sha256: 273, size: 1000, payloadSize: 1007 } as const

/** Replaces the name of the machine that an rpm was made on: nfpm writes it, and else every machine's rpm is the same. */
export async function writeBuildHost(file: string, host: string): Promise<void> {
  await writeFile(`${file}.tmp`, withBuildHost(await readFile(file), host))
  await rename(`${file}.tmp`, file)
}

/** The same rpm as if made on `host`. Throws for one that is signed, since its signature would fit no longer. */
export function withBuildHost(rpm: Buffer, host: string): Buffer {
  const signatures = readRpmHeader(rpm, leadBytes)
  const own = readRpmHeader(rpm, eighth(signatures.end))
  const payload = rpm.subarray(own.end)
  const header = writeRpmHeader({
    ...own.header,
    entries: own.header.entries.map((entry) =>
      entry.tag === buildHostTag ? { ...entry, data: Buffer.from(`${host}\0`) } : entry,
    ),
  })
  const resign = (entry: RpmEntry): RpmEntry => {
    switch (entry.tag) {
      case signatureTags.sha256: {
        const digest = createHash('sha256').update(header).digest('hex')
        return { ...entry, type: stringType, data: Buffer.from(`${digest}\0`) }
      }
      case signatureTags.size:
        return { ...entry, data: int32s(header.length + payload.length) }
      case signatureTags.payloadSize:
        return entry
      default:
        throw new Error(`the rpm is signed or has digests that are not known here: tag ${entry.tag}`)
    }
  }
  const { region, entries } = signatures.header
  const signed = writeRpmHeader({ region, entries: entries.map(resign) })
  const padding = Buffer.alloc(eighth(leadBytes + signed.length) - leadBytes - signed.length)
  return Buffer.concat([rpm.subarray(0, leadBytes), signed, padding, header, payload])
}

/** The header of signatures is filled up to a multiple of eight bytes; the lead is one. */
function eighth(at: number): number {
  return Math.ceil(at / 8) * 8
}
