import { readFile } from 'node:fs/promises'
import { ownPages } from './own-pages.ts'

interface Ffi {
  dlopen(
    library: string,
    symbols: object,
  ): { readonly symbols: { madvise(start: bigint, length: bigint, advice: number): number }; close(): void }
}

/** MADV_DONTNEED of Linux, on every processor. */
const dontNeed = 4

/**
 * Gives back what only the start needed: memory that the runtime holds free, and the pages of the program itself, of
 * which an agent at rest uses the smaller part. Those it does use come back one by one, mostly without the disk.
 */
export async function giveBack(): Promise<void> {
  const { Bun } = globalThis as { Bun?: { shrink?(): void } }
  Bun?.shrink?.()
  const { dlopen }: Ffi = await import('bun:ffi' as string)
  const libc = dlopen('libc.so.6', { madvise: { args: ['u64', 'u64', 'i32'], returns: 'i32' } })
  const smaps = await readFile('/proc/self/smaps', 'utf8')
  for (const { start, length } of ownPages(smaps, process.execPath)) {
    libc.symbols.madvise(start, length, dontNeed)
  }
  libc.close()
}
