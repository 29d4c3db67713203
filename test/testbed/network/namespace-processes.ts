import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'

const pollMs = 20
const killLimitMs = 15_000

/** The processes in a namespace; none when there is no such namespace. */
export async function processesIn(namespace: string): Promise<readonly number[]> {
  const result = await runCommand('ip', ['netns', 'pids', namespace])
  if (result.code === 0) return result.stdout.split(/\s+/).filter(Boolean).map(Number)
  if (!existsSync(`/run/netns/${namespace}`)) return []
  throw new TestbedError('COMMAND_FAILED', `ip netns pids ${namespace}: ${result.stderr.trim()}`)
}

/** SIGTERM, `graceMs` of patience, then SIGKILL until no process is in the namespace. */
export async function endProcesses(namespace: string, graceMs: number): Promise<void> {
  if (graceMs > 0) {
    signalAll(await processesIn(namespace), 'SIGTERM')
    if (await emptied(namespace, graceMs)) return
  }
  // Again and again: a process may have forked between the look and the signal.
  const empty = await emptied(namespace, killLimitMs, (pids) => signalAll(pids, 'SIGKILL'))
  if (!empty) {
    const left = (await processesIn(namespace)).join(' ')
    throw new TestbedError('PROCESSES_REMAIN', `${namespace}: ${left}`)
  }
}

async function emptied(
  namespace: string,
  limitMs: number,
  each?: (pids: readonly number[]) => void,
): Promise<boolean> {
  const end = performance.now() + limitMs
  for (;;) {
    const pids = await processesIn(namespace)
    if (pids.length === 0) return true
    if (performance.now() > end) return false
    each?.(pids)
    await sleep(pollMs)
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // Ended meanwhile.
    }
  }
}
