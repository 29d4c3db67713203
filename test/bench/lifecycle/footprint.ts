import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import { agentExecutable } from '../../world/agent-executable.ts'
import type { Member } from '../../world/member.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { type ProcessMemory, parseMemory } from '../process-memory.ts'
import { parseChildCpuSeconds, parseCpuSeconds } from '../process-time.ts'

/** Memory is that of the end: what was given back at first and comes back by work counts as used. */
export interface Footprint extends ProcessMemory {
  /** Resident memory when the agent had been idle for a minute. */
  readonly residentSoonKb: number
  readonly cpuPercent: number
  /** What the programs used that it ran meanwhile, as iptables-save. */
  readonly childCpuPercent: number
  /** Wall time of `mooring-agent version`, and of `true` started in the same way. */
  readonly startMs: readonly number[]
  readonly trueMs: readonly number[]
}

const settleMs = 60_000
/** /proc counts in 10 ms: over this time that is less than a hundredth of a percent. */
const observedMs = 240_000
const starts = 20

/** What an agent costs that has joined and has nothing to do. */
export async function measureFootprint(member: Member, step: ProgressStep): Promise<Footprint> {
  const pid = await agentOf(member)
  step.at('the agent comes to rest')
  await sleep(settleMs)
  const soon = await memoryOf(pid)
  step.at('CPU time over 4 minutes')
  const [begun, before] = [monotonicMs(), await cpuTimes(pid)]
  await sleep(observedMs)
  const after = await cpuTimes(pid)
  const percent = (seconds: number) => (seconds * 100_000) / (monotonicMs() - begun)
  const cpuPercent = percent(after.own - before.own)
  const childCpuPercent = percent(after.children - before.children)
  const memory = await memoryOf(pid)
  step.at('starts of the executable')
  const [startMs, trueMs]: [number[], number[]] = [[], []]
  for (let i = 0; i < starts; i++) {
    startMs.push(await runTime(agentExecutable, ['version']))
    trueMs.push(await runTime('/bin/true', []))
  }
  return { ...memory, residentSoonKb: soon.residentKb, cpuPercent, childCpuPercent, startMs, trueMs }
}

async function agentOf(member: Member): Promise<number> {
  for (const pid of await member.vm.pids()) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
    if (name.trim() === 'mooring-agent') return pid
  }
  throw new Error(`there is no agent in ${member.name}`)
}

async function memoryOf(pid: number): Promise<ProcessMemory> {
  return parseMemory(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))
}

async function cpuTimes(pid: number): Promise<{ readonly own: number; readonly children: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return { own: parseCpuSeconds(stat), children: parseChildCpuSeconds(stat) }
}

/** Wall time of a program that ends by itself, in milliseconds. */
export function runTime(command: string, args: readonly string[]): Promise<number> {
  const begun = monotonicMs()
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve(monotonicMs() - begun) : reject(new Error(`${command} ended with ${code}`)),
    )
  })
}
