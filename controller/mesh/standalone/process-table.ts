import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A process that is surely the same: a pid alone is used again. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot (proc(5), `stat` field 22). */
  readonly startTime: number
  readonly bootId: string
}

/** Who has this pid now; undefined when nobody, or a zombie. `proc` is where procfs is mounted. */
export async function identify(proc: string, pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const [stat, bootId] = await Promise.all([
      readFile(join(proc, String(pid), 'stat'), 'utf8'),
      readFile(join(proc, 'sys/kernel/random/boot_id'), 'utf8'),
    ])
    // The second field, a name in brackets, may hold anything; what follows its end is plain.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z' || state === 'X') return undefined
    return { pid, startTime: Number(fields[18]), bootId: bootId.trim() }
  } catch {
    return undefined
  }
}

/** Whether that very process is still alive. */
export async function isAlive(proc: string, identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(proc, identity.pid)
  return now?.startTime === identity.startTime && now.bootId === identity.bootId
}
