/** One entry of an rpm's header: the numbers of tag and type are rpm's (rpm.org, "RPM V4 package format"). */
export interface RpmEntry {
  readonly tag: number
  readonly type: number
  readonly count: number
  readonly data: Buffer
}

export interface RpmHeader {
  /** Tag of the region that spans the header: 62 of signatures, 63 of the package itself. */
  readonly region: number
  readonly entries: readonly RpmEntry[]
}

export const stringType = 6
export const int32Type = 4
const binaryType = 7
const magic = Buffer.from('8eade80100000000', 'hex')
const entryBytes = 16
const preambleBytes = 16

/** Bytes of one value of each type; absent for texts, which end with a zero. */
const widths: Readonly<Record<number, number>> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1 }
const textTypes: readonly number[] = [stringType, 8, 9]

/** The header that begins at `at`, and where it ends. Throws for anything else. */
export function readRpmHeader(
  file: Buffer,
  at: number,
): { readonly header: RpmHeader; readonly end: number } {
  if (!file.subarray(at, at + magic.length).equals(magic)) throw damaged(at)
  const count = file.readUInt32BE(at + 8)
  const storeAt = at + preambleBytes + count * entryBytes
  const end = storeAt + file.readUInt32BE(at + 12)
  if (end > file.length) throw damaged(at)
  const store = file.subarray(storeAt, end)
  const [region, ...entries] = Array.from({ length: count }, (_, n): RpmEntry => {
    const entryAt = at + preambleBytes + n * entryBytes
    const [tag, type, offset, count] = [0, 4, 8, 12].map((field) => file.readUInt32BE(entryAt + field))
    if (tag === undefined || type === undefined || offset === undefined || count === undefined)
      throw damaged(at)
    return { tag, type, count, data: valueAt(store, { type, offset, count }) }
  })
  if (region?.type !== binaryType || region.count !== entryBytes) throw damaged(at)
  return { header: { region: region.tag, entries }, end }
}

/** A header with these entries, in this order. */
export function writeRpmHeader({ region, entries }: RpmHeader): Buffer {
  const all = entries.length + 1
  const parts: Buffer[] = []
  let length = 0
  const put = (data: Buffer, width: number): number => {
    const gap = (width - (length % width)) % width
    const offset = length + gap
    parts.push(Buffer.alloc(gap), data)
    length = offset + data.length
    return offset
  }
  const index = entries.map(({ tag, type, count, data }) =>
    int32s(tag, type, put(data, widths[type] ?? 1), count),
  )
  // The region's own entry comes first, and its value, which says how long the index is, last.
  const trailerAt = put(int32s(region, binaryType, -all * entryBytes, entryBytes), 1)
  return Buffer.concat([
    magic,
    int32s(all, length),
    int32s(region, binaryType, trailerAt, entryBytes),
    ...index,
    ...parts,
  ])
}

export function int32s(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [n, value] of values.entries()) bytes.writeInt32BE(value, n * 4)
  return bytes
}

function valueAt(
  store: Buffer,
  { type, offset, count }: { readonly type: number; readonly offset: number; readonly count: number },
): Buffer {
  let end = offset + count * (widths[type] ?? 0)
  if (textTypes.includes(type)) {
    for (let n = 0; n < count; n += 1) {
      const zero = store.indexOf(0, end)
      if (zero < 0) throw damaged(offset)
      end = zero + 1
    }
  } else if (widths[type] === undefined) throw damaged(offset)
  if (end > store.length) throw damaged(offset)
  return store.subarray(offset, end)
}

function damaged(at: number): Error {
  return new Error(`the rpm's header is damaged at byte ${at}`)
}
