import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../tools/command.ts'
import type { Arch } from '../tools/runtimes.ts'
import { type ArMember, readAr, writeAr } from './ar.ts'

export interface RepackOptions {
  readonly arch: Arch
  /** Folder for what is only needed meanwhile. */
  readonly workFolder: string
  /** Seconds since 1970. */
  readonly epoch: number
  /** Packed quickly instead of small. */
  readonly draft: boolean
}

/**
 * How xz packs. Two threads and more cut the input into the same blocks, so every machine makes the same bytes; the
 * filter knows the processor's jumps. The one for arm64 is not used: Debian 11 cannot read it.
 */
const filters = { amd64: ['--x86'], arm64: [] } as const

/** A minute of two processors; where others keep them busy, many times as long. */
export const packLimitMs = 60 * 60_000

/** Packs the data of an uncompressed deb with xz; every dpkg can read that, and no other packs it as small. */
export async function repackDeb(deb: string, options: RepackOptions): Promise<void> {
  const members = readAr(await readFile(deb))
  const data = members.find(({ name }) => name === 'data.tar')
  if (data === undefined) throw new Error(`${deb} holds no data.tar: ${members.map((one) => one.name)}`)
  const plain = join(options.workFolder, 'data.tar')
  await writeFile(plain, data.content)
  const preset = `--lzma2=preset=${options.draft ? 0 : 6}`
  const how = ['--force', '--format=xz', '--threads=2', '--check=crc64', ...filters[options.arch], preset]
  await run('xz', [...how, plain], { timeoutMs: packLimitMs })
  const packed: ArMember = { name: 'data.tar.xz', content: await readFile(`${plain}.xz`) }
  await rm(`${plain}.xz`)
  const all = members.map((member) => (member === data ? packed : member))
  await writeFile(`${deb}.tmp`, writeAr(all, options.epoch))
  await rename(`${deb}.tmp`, deb)
}
