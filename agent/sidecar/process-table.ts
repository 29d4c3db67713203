import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** One process, from /proc/<pid>/stat (proc_pid_stat(5)). */
export interface ProcessEntry {
  readonly pid: number
  /** Process group. */
  readonly group: number
  /** Clock ticks after boot; with the pid it names a process once and for all until the next boot. */
  readonly startTime: number
}

/** The kernel's view of processes. Dead ones that nobody has reaped yet count as gone. */
export interface ProcessTable {
  find(pid: number): Promise<ProcessEntry | undefined>
  /** Members of a process group that run as `uid`. */
  group(group: number, uid: number): Promise<readonly ProcessEntry[]>
  /** Processes of `uid` whose program lies below `folder`. */
  runningFrom(folder: string, uid: number): Promise<readonly ProcessEntry[]>
  /** Changes at every boot. */
  bootId(): Promise<string>
}

/** Reads the process table below `proc`, usually /proc. */
export function createProcessTable(proc: string): ProcessTable {
  const find = async (pid: number): Promise<ProcessEntry | undefined> => {
    const text = await readFile(join(proc, String(pid), 'stat'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : parseStat(text)
  }

  const ofUser = async (uid: number): Promise<ProcessEntry[]> => {
    const names = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
    const entries = await Promise.all(
      names.map(async (name) => {
        const owner = await stat(join(proc, name)).catch(() => undefined)
        return owner?.uid === uid ? find(Number(name)) : undefined
      }),
    )
    return entries.filter((entry) => entry !== undefined)
  }

  return {
    find,
    group: async (group, uid) => (await ofUser(uid)).filter((entry) => entry.group === group),
    async runningFrom(folder, uid) {
      const found: ProcessEntry[] = []
      for (const entry of await ofUser(uid)) {
        const program = await readlink(join(proc, String(entry.pid), 'exe')).catch(() => '')
        if (program.startsWith(`${folder}/`)) found.push(entry)
      }
      return found
    },
    bootId: async () => (await readFile(join(proc, 'sys/kernel/random/boot_id'), 'utf8')).trim(),
  }
}

/** One line of /proc/<pid>/stat; undefined for what is dead already. */
export function parseStat(text: string): ProcessEntry | undefined {
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const pid = Number.parseInt(text, 10)
  const group = Number(fields[2])
  const startTime = Number(fields[19])
  if (![pid, group, startTime].every(Number.isSafeInteger)) return undefined
  return ['Z', 'X', 'x'].includes(fields[0] ?? '') ? undefined : { pid, group, startTime }
}
