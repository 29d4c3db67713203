import type { ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import type { Bench, BenchDeps } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { type Footprint, runTime } from '../lifecycle/footprint.ts'
import { createStage, type Stage } from '../lifecycle/stage.ts'
import { median, rounded } from '../percentile.ts'
import { parseMemory } from '../process-memory.ts'
import { parseCpuSeconds } from '../process-time.ts'
import { type Candidate, candidates } from './candidates.ts'

interface Sample extends Pick<Footprint, 'residentKb' | 'privateDirtyKb' | 'cpuPercent'> {
  readonly name: string
  readonly megabytes: number
  readonly startMs: number
}

const settleMs = 60_000
const observedMs = 10 * 60_000
const starts = 10

/** What the agent costs on each runtime that it could be shipped with: all at once, so that all have the same machine. */
export const runtime: Bench = {
  name: 'runtime',
  about: 'the real agent on Bun and on Node, ten idle minutes of each at once; about 12 minutes',
  async run(deps) {
    const folder = await mkdtemp(join(tmpdir(), 'mooring-runtime-'))
    deps.atEnd(() => rm(folder, { recursive: true, force: true }))
    const stage = await createStage(deps)
    const list = await candidates(folder)
    const running = []
    for (const [i, candidate] of list.entries())
      running.push({ candidate, agent: await start(stage, candidate, `runtime-${i}`) })
    const costs = await idle(
      running.map(({ agent }) => agent.pid ?? 0),
      deps,
    )
    const samples: Sample[] = []
    for (const [i, { name, program, args, size }] of list.entries()) {
      const times: number[] = []
      for (let n = 0; n < starts; n++) times.push(await runTime(program, [...args, 'version']))
      const cost = costs[i]
      if (cost === undefined) throw new Error(`${name} was not measured`)
      samples.push({
        name,
        megabytes: rounded(size / 2 ** 20, 1),
        startMs: rounded(median(times), 1),
        ...cost,
      })
    }
    return {
      json: { runtimes: samples },
      samples: {},
      figures: samples.flatMap(figuresOf),
      remarks: [
        'All agents had joined the mesh, probed their application each second, and had nothing else to do.',
        'Private is what is dirty: pages of programs are shared by all that run them.',
      ],
    }
  },
}

async function start(stage: Stage, { program, args }: Candidate, name: string): Promise<ChildProcess> {
  const { vm, agentLog, waitPhase } = await stage.prepare(name, 'servers')
  const agent = vm.spawn(program, [...args, 'run', '--root', vm.root], {
    cwd: vm.root,
    env: { PATH: process.env.PATH ?? '', HOME: '/', LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  agent.stderr?.pipe(createWriteStream(agentLog))
  agent.stdout?.resume()
  await waitPhase('ready')
  return agent
}

async function idle(pids: readonly number[], { progress, signal }: BenchDeps) {
  const step = progress.start('agents at rest')
  try {
    await sleep(settleMs, undefined, { signal })
    const cpu = (pid: number) => readFile(`/proc/${pid}/stat`, 'utf8').then(parseCpuSeconds)
    const [begun, before] = [monotonicMs(), await Promise.all(pids.map(cpu))]
    await sleep(observedMs, undefined, { signal })
    const seconds = (monotonicMs() - begun) / 1000
    const costs = await Promise.all(
      pids.map(async (pid, i) => {
        const used = (await cpu(pid)) - (before[i] ?? 0)
        const { residentKb, privateDirtyKb } = parseMemory(
          await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'),
        )
        return { residentKb, privateDirtyKb, cpuPercent: rounded((used * 100) / seconds, 3) }
      }),
    )
    step.done()
    return costs
  } catch (error) {
    step.failed()
    throw error
  }
}

function figuresOf(sample: Sample): readonly Figure[] {
  const { name, megabytes, residentKb, privateDirtyKb, cpuPercent, startMs } = sample
  return [
    { name: `${name}: size`, value: megabytes, unit: 'MB' },
    { name: `${name}: resident`, value: residentKb / 1024, unit: 'MB' },
    { name: `${name}: private`, value: privateDirtyKb / 1024, unit: 'MB' },
    { name: `${name}: CPU`, value: cpuPercent, unit: '%' },
    { name: `${name}: start`, value: startMs, unit: 'ms' },
  ]
}
