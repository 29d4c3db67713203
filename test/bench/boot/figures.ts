import type { BootStory } from '../../e2e/boot/boot-story.ts'
import type { Figure } from '../figure.ts'
import { median, rounded } from '../percentile.ts'
import type { ContainerBoot } from './container-boots.ts'
import { type Marks, type Phases, phaseNames, phasesOf, totalOf } from './phases.ts'

/** Everything that was measured, as it came. */
export interface BootSamples {
  readonly baked: readonly ContainerBoot[]
  readonly fetched: readonly ContainerBoot[]
  readonly emulated: { readonly story: BootStory; readonly marks: Marks }
}

/** One way to boot: medians, in milliseconds. */
export interface BootFigures {
  readonly n: number
  /** From the start of the agent's unit to a peer's first 200. */
  readonly agentMs: number
  readonly phasesMs: Phases
}

/** What `--json` writes, without the samples. */
export interface AllBootFigures {
  /** What came before the agent's unit was systemd's and cloud-init's, since systemd began. */
  readonly container: BootFigures & { readonly beforeAgentMs: number; readonly unitFloorMs: number }
  readonly containerWithDownload: BootFigures
  readonly emulated: BootFigures & { readonly sincePowerOnMs: number }
}

/** Sums the samples up. */
export function bootFigures({ baked, fetched, emulated }: BootSamples): AllBootFigures {
  const before = baked.map(({ systemd, marks }) => (marks.unit ?? Number.NaN) - systemd)
  return {
    container: {
      ...summed(baked.map(({ marks }) => marks)),
      beforeAgentMs: rounded(median(before)),
      unitFloorMs: rounded(median(baked.flatMap(({ floorMs }) => floorMs)), 1),
    },
    containerWithDownload: summed(fetched.map(({ marks }) => marks)),
    emulated: {
      ...summed([emulated.marks]),
      sincePowerOnMs: rounded(emulated.marks.answered ?? Number.NaN),
    },
  }
}

function summed(boots: readonly Marks[]): BootFigures {
  const phases = boots.map(phasesOf)
  const names = Object.values(phaseNames)
  const medians = names.map((name) => [name, rounded(median(phases.map((one) => one[name])))])
  return {
    n: boots.length,
    agentMs: rounded(median(boots.map(totalOf))),
    phasesMs: Object.fromEntries(medians) as Phases,
  }
}

/** The figures for people. The goal is that of a boot without a system around it, for 2 cores at rest. */
export function judged({ container, containerWithDownload, emulated }: AllBootFigures): readonly Figure[] {
  const ms = (name: string, value: number): Figure => ({ name, value, unit: 'ms' })
  const phases = (of: BootFigures) =>
    Object.entries(of.phasesMs).map(([name, value]) => ms(`  ${name}`, value))
  return [
    ms('systemd began until agent unit began', container.beforeAgentMs),
    ms('start of a unit that runs `true`', container.unitFloorMs),
    { ...ms('agent unit until first 200', container.agentMs), goal: { atMost: 800 } },
    ...phases(container),
    ms('the same, sidecar downloaded', containerWithDownload.agentMs),
    ...phases(containerWithDownload),
    ms('emulated: agent unit until first 200', emulated.agentMs),
    ...phases(emulated),
    ms('emulated: power-on until first 200', emulated.sincePowerOnMs),
  ]
}
