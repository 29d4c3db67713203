import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { hasErrno } from '../host/files.ts'

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
  /** Resolves when the process has gone; a child of this one has to be reaped for that. Rejects when `signal` aborts. */
  gone(
    entry: Pick<ProcessEntry, 'pid' | 'startTime'>,
    clock: Pick<Clock, 'sleep'>,
    signal: AbortSignal,
  ): Promise<void>
  /** Members of a process group that run as `uid`. */
  group(group: number, uid: number): Promise<readonly ProcessEntry[]>
  /** Processes of `uid` whose program lies below `folder`. */
  runningFrom(folder: string, uid: number): Promise<readonly ProcessEntry[]>
  /** Which file a process runs; undefined where that cannot be seen. */
  program(pid: number): Promise<string | undefined>
  /** Changes at every boot, and between containers. */
  bootId(): Promise<string>
}

/** How often it is asked whether a pid is in use: one call of the kernel, and a loss is known within a moment. */
const pollMs = 200
/** Every so many times it is asked whose pid it is: within a second nobody gets the pid of another again. */
const lookEvery = 5

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

  // A program that was upgraded meanwhile is still the one that it was started as.
  const program = (pid: number) =>
    readlink(join(proc, String(pid), 'exe')).then(
      (file) => file.replace(/ \(deleted\)$/, ''),
      () => undefined,
    )

  return {
    find,
    program,
    async gone({ pid, startTime }, clock, signal) {
      for (let n = 0; isInUse(pid); n += 1) {
        if (n % lookEvery === 0 && (await find(pid))?.startTime !== startTime) return
        await clock.sleep(pollMs, signal)
      }
    },
    group: async (group, uid) => (await ofUser(uid)).filter((entry) => entry.group === group),
    async runningFrom(folder, uid) {
      const found: ProcessEntry[] = []
      for (const entry of await ofUser(uid)) {
        if ((await program(entry.pid))?.startsWith(`${folder}/`)) found.push(entry)
      }
      return found
    },
    bootId: async () => (await readFile(join(proc, 'sys/kernel/random/boot_id'), 'utf8')).trim(),
  }
}

/** Without a file: what is read asynchronously costs ten times as much (kill(2), signal 0). */
function isInUse(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return hasErrno(error, 'EPERM')
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
