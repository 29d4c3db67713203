/** Ticks a second in /proc; the kernel's interface fixes USER_HZ to this on every platform that Node runs on. */
const ticksPerSecond = 100

/** Seconds of CPU that a process has used, its threads included and its children not, from `/proc/PID/stat`. */
export function parseCpuSeconds(text: string): number {
  return seconds(text, 11)
}

/** Seconds of CPU that the children of a process have used that ended and were waited for. */
export function parseChildCpuSeconds(text: string): number {
  return seconds(text, 13)
}

function seconds(text: string, at: number): number {
  // The name may hold spaces and parentheses: fields are counted from behind the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [user, system] = [fields[at], fields[at + 1]].map(Number)
  if (user === undefined || system === undefined || Number.isNaN(user + system))
    throw new Error('this is no /proc/PID/stat')
  return (user + system) / ticksPerSecond
}
