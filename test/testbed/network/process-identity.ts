import { readFile } from 'node:fs/promises'

/** A process as nothing else can be it: pids are reused, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot, as the kernel prints it. */
  readonly startTime: string
}

/** Who runs under `pid` now; `undefined` when nobody, or only a zombie that holds nothing any more. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const parsed = stat === undefined ? undefined : parseStat(stat)
  if (parsed === undefined || parsed.state === 'Z' || parsed.state === 'X') return undefined
  return { pid, startTime: parsed.startTime }
}

/** Whether that very process still runs. */
export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(process.pid))?.startTime === process.startTime
}

/** State and start time out of `/proc/<pid>/stat`. */
export function parseStat(stat: string): { state: string; startTime: string } | undefined {
  // The second field is the program's name in brackets, which may hold blanks and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, startTime] = [fields[0], fields[19]]
  return state === undefined || startTime === undefined ? undefined : { state, startTime }
}
