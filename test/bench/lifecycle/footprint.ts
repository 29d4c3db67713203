import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import { agentExecutable } from '../../world/agent-executable.ts'
import type { Member } from '../../world/member.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { type ProcessMemory, parseMemory } from '../process-memory.ts'
import { parseCpuSeconds } from '../process-time.ts'

export interface Footprint extends ProcessMemory {
  readonly cpuPercent: number
  /** Wall time of `mooring-agent version`, and of `true` started in the same way. */
  readonly startMs: readonly number[]
  readonly trueMs: readonly number[]
}

const settleMs = 30_000
const observedMs = 60_000
const starts = 20

/** What an agent costs that has joined and has nothing to do. */
export async function measureFootprint(member: Member, step: ProgressStep): Promise<Footprint> {
  const pid = await agentOf(member)
  step.at('the agent comes to rest')
  await sleep(settleMs)
  step.at('CPU time over a minute')
  const [begun, before] = [monotonicMs(), await cpuSeconds(pid)]
  await sleep(observedMs)
  const used = (await cpuSeconds(pid)) - before
  const cpuPercent = (used * 100_000) / (monotonicMs() - begun)
  const memory = parseMemory(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))
  step.at('starts of the executable')
  const [startMs, trueMs]: [number[], number[]] = [[], []]
  for (let i = 0; i < starts; i++) {
    startMs.push(await runTime(agentExecutable, ['version']))
    trueMs.push(await runTime('/bin/true', []))
  }
  return { ...memory, cpuPercent, startMs, trueMs }
}

async function agentOf(member: Member): Promise<number> {
  for (const pid of await member.vm.pids()) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
    if (name.trim() === 'mooring-agent') return pid
  }
  throw new Error(`there is no agent in ${member.name}`)
}

async function cpuSeconds(pid: number): Promise<number> {
  return parseCpuSeconds(await readFile(`/proc/${pid}/stat`, 'utf8'))
}

function runTime(command: string, args: readonly string[]): Promise<number> {
  const begun = monotonicMs()
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve(monotonicMs() - begun) : reject(new Error(`${command} ended with ${code}`)),
    )
  })
}
