import type { Progress, ProgressStep } from '../../testbed/progress.ts'
import { failuresOf } from '../../world/load.ts'
import type { Bench } from '../bench.ts'
import { median, rounded } from '../percentile.ts'
import { measureBoots } from './boot.ts'
import { judged, type LifecycleSamples, lifecycleFigures } from './figures.ts'
import { measureFloor } from './floor.ts'
import { measureFootprint } from './footprint.ts'
import { measureKills } from './kill.ts'
import { measureLeaves } from './leave.ts'
import { measurePowerCuts } from './power-cut.ts'
import { createStage } from './stage.ts'

const leastFloors = 5

/** The whole life of a VM, in figures. */
export const lifecycle: Bench = {
  name: 'lifecycle',
  about: 'boots, leaves, sidecar kills, power cuts, and what the agent costs; about 16 minutes',
  async run(deps) {
    const { n, progress, signal } = deps
    const stage = await createStage(deps)
    const phase = <T>(label: string, measure: (step: ProgressStep) => Promise<T>) =>
      during(progress, signal, label, measure)
    const boots = await phase('boots', (step) => measureBoots(stage, n, step))
    const floorsMs = await phase('starts of a bare sidecar', (step) =>
      measureFloor(stage, Math.max(n, leastFloors), step),
    )
    const stays = await stage.boot('stay-1', 'servers')
    await stage.boot('stay-2', 'servers')
    const agent = await phase('an idle agent', (step) => measureFootprint(stays, step))
    const leaves = await phase('leaves under load', (step) => measureLeaves(stage, n, step))
    const kills = await phase('kills of the sidecar under load', (step) => measureKills(stage, n, step))
    const powerCutsMs = await phase('power cuts', (step) => measurePowerCuts(stage, n, step))
    const samples = { boots, floorsMs, leaves, kills, powerCutsMs, agent }
    const figures = lifecycleFigures(samples)
    return { json: figures, samples, figures: judged(figures), remarks: remarks(samples) }
  },
}

async function during<T>(
  progress: Progress,
  signal: AbortSignal,
  label: string,
  measure: (step: ProgressStep) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const step = progress.start(label)
  try {
    const result = await measure(step)
    step.done()
    return result
  } catch (error) {
    step.failed()
    throw error
  }
}

function remarks({ leaves, agent, boots }: LifecycleSamples): string[] {
  const failed = leaves.load.failed > 0 ? [`Failed while leaving:\n${failuresOf(leaves.load)}`] : []
  const long = leaves.samples.filter((sample) => sample.openRequests > 0).length
  return [
    ...failed,
    `At ${long} of ${leaves.samples.length} leaves a download or another long request was open on the VM that left.`,
    `Requests of a killed sidecar cannot all be saved: those that were open on it are lost.`,
    `Of the resident memory ${megabytes(agent.residentKb - agent.privateDirtyKb)} MB are pages of the executable and of libraries, which every agent on a machine shares and the kernel takes back when it needs them; private is what is the agent's own. Both were read after 5 idle minutes; after the first, ${megabytes(agent.residentSoonKb)} MB were resident.`,
    `The programs that the idle agent runs to look at the traffic rules used another ${rounded(agent.childCpuPercent, 3)} % of a core.`,
    `${rounded(median(agent.trueMs), 1)} ms of the executable's start are what it takes to start any program here (\`true\`).`,
    `Median boot by steps, in ms from the start of the agent: ${steps(boots)}.`,
  ]
}

function megabytes(kb: number): number {
  return rounded(kb / 1024, 1)
}

function steps(boots: LifecycleSamples['boots']): string {
  const names = Object.keys(boots[0]?.conditions ?? {})
  const medians = names.map((name) => ({
    name,
    ms: rounded(median(boots.flatMap(({ conditions }) => conditions[name] ?? []))),
  }))
  return medians
    .toSorted((a, b) => a.ms - b.ms)
    .map(({ name, ms }) => `${name} ${ms}`)
    .join(', ')
}
