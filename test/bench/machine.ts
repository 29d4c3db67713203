import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import type { Parts } from '../testbed/parts/parts.ts'

/** What figures were measured on. */
export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryGb: number
  readonly kernel: string
  readonly system: string
  readonly node: string
  readonly istio: string
  readonly envoy: string
  /** Load of the last minute when it began: figures are those of a machine at rest only if this is near 0. */
  readonly load: number
}

/** Describes this machine. */
export async function describeMachine(parts: Pick<Parts, 'istioVersion' | 'envoyVersion'>): Promise<Machine> {
  const osRelease = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? 'Linux',
    node: process.version,
    istio: parts.istioVersion,
    envoy: parts.envoyVersion,
    load: loadavg()[0] ?? 0,
  }
}

// Half a core of something else shifts percentiles by tens of milliseconds.
const restLoad = 0.5

/** The machine in lines, with a warning where it is not at rest. */
export function renderMachine(machine: Machine): readonly string[] {
  const { cores, processor, memoryGb, kernel, system, node, istio, envoy, load } = machine
  const lines = [
    `${cores} cores (${processor}), ${memoryGb} GB, ${system}, Linux ${kernel}`,
    `Istio ${istio}, Envoy ${envoy}, controller on Node ${node}`,
  ]
  if (load > restLoad)
    lines.push(
      `This machine is not at rest (load ${load.toFixed(1)}): the figures will be worse than they could be.`,
    )
  return lines
}
