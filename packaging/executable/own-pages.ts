/** A piece of a process's memory. */
export interface Pages {
  readonly start: bigint
  readonly length: bigint
}

/**
 * The pieces of a process into which its program's file is mapped and which hold nothing but the file: what is taken
 * out of them is read again from the file, and is in memory still as long as the kernel has room. Writable pieces are
 * left out, and so are those that were written to before they were protected. `smaps` is /proc/PID/smaps
 * (proc_pid_smaps(5)).
 */
export function ownPages(smaps: string, program: string): readonly Pages[] {
  const found: Pages[] = []
  let current: Pages | undefined
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+) +(.*)$/.exec(line)
    if (head !== null) {
      const [, from = '', to = '', rights = '', inode, path] = head
      const isFixed = !rights.includes('w') && rights.endsWith('p') && inode !== '0' && path === program
      const start = BigInt(`0x${from}`)
      current = isFixed ? { start, length: BigInt(`0x${to}`) - start } : undefined
    } else if (current !== undefined && /^Anonymous: +0 kB$/.test(line)) {
      found.push(current)
      current = undefined
    }
  }
  return found
}
