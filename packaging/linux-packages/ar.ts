/** One file of an ar archive, which is what a deb is (deb(5)). */
export interface ArMember {
  readonly name: string
  readonly content: Buffer
}

const magic = '!<arch>\n'
const headerBytes = 60

/** The files of an archive. Throws for anything else. */
export function readAr(archive: Buffer): readonly ArMember[] {
  if (archive.toString('latin1', 0, magic.length) !== magic) throw new Error('this is no ar archive')
  const members: ArMember[] = []
  for (let at = magic.length; at + headerBytes <= archive.length; ) {
    const header = archive.toString('latin1', at, at + headerBytes)
    const size = Number(header.slice(48, 58).trim())
    const start = at + headerBytes
    if (header.slice(58) !== '`\n' || !Number.isInteger(size) || start + size > archive.length) {
      throw new Error(`the ar archive is damaged at byte ${at}`)
    }
    const name = header.slice(0, 16).trim().replace(/\/$/, '')
    members.push({ name, content: archive.subarray(start, start + size) })
    at = start + size + (size % 2)
  }
  return members
}

/** An archive of these files, owned by root; `epoch` is their time in seconds since 1970. */
export function writeAr(members: readonly ArMember[], epoch: number): Buffer {
  const parts = members.flatMap(({ name, content }) => {
    if (name.length > 16) throw new Error(`${name} is too long a name for ar`)
    const fields = [
      name.padEnd(16),
      String(epoch).padEnd(12),
      '0'.padEnd(6),
      '0'.padEnd(6),
      '100644'.padEnd(8),
      String(content.length).padEnd(10),
      '`\n',
    ]
    return [
      Buffer.from(fields.join(''), 'latin1'),
      content,
      Buffer.from(content.length % 2 === 0 ? '' : '\n'),
    ]
  })
  return Buffer.concat([Buffer.from(magic), ...parts])
}
