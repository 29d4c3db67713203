import { open } from 'node:fs/promises'
import { type Arch, notASidecar } from './layout.ts'

/** e_machine (elf.h). */
const machines: Readonly<Record<number, Arch>> = { 62: 'amd64', 183: 'arm64' }

/** What kind of machine a program is for. Throws `ARTIFACT_INVALID` for what is no program of Linux. */
export async function archOf(file: string): Promise<Arch> {
  const handle = await open(file)
  try {
    const { buffer } = await handle.read(Buffer.alloc(20), 0, 20, 0)
    const arch = machines[buffer.readUInt16LE(18)]
    if (buffer.toString('latin1', 0, 4) !== '\x7fELF' || arch === undefined) {
      throw notASidecar(`${file} is no program for amd64 or arm64`)
    }
    return arch
  } finally {
    await handle.close()
  }
}
