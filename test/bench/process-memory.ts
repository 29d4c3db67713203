/** Memory of a process, in KiB, as the kernel divides it (Documentation/filesystems/proc.rst, smaps_rollup). */
export interface ProcessMemory {
  readonly residentKb: number
  /** Pages that no other process maps, clean (of files) and dirty (its own). */
  readonly privateCleanKb: number
  readonly privateDirtyKb: number
}

/** Reads the text of `/proc/PID/smaps_rollup`. */
export function parseMemory(text: string): ProcessMemory {
  const field = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)
    if (found === null) throw new Error(`smaps_rollup has no ${name}`)
    return Number(found[1])
  }
  return {
    residentKb: field('Rss'),
    privateCleanKb: field('Private_Clean'),
    privateDirtyKb: field('Private_Dirty'),
  }
}
