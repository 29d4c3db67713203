import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../world/waiting.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import type { Bench } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { median, percentile, rounded } from '../percentile.ts'
import type { Crowd } from '../simulated/crowd.ts'
import { createStage, type Stage } from '../simulated/stage.ts'
import { type EntryHealth, watchEntryHealth } from './entry-health.ts'

/** What `--json` writes, without the samples. */
export interface FleetFigures {
  readonly vms: number
  readonly seconds: number
  readonly residentMb: number
  readonly cpuCores: number
  readonly falselyLost: number
  /** From an agent's word that its health changed until a watch of its entry saw it. */
  readonly statusLagP99Ms: number
}

/** Everything that was measured, as it came. */
export interface FleetSamples {
  readonly vms: number
  readonly seconds: number
  readonly emptyKb: number
  readonly residentKb: readonly number[]
  readonly cpuSeconds: number
  /** VMs that the controller did not hear in time, by its own count. */
  readonly vanished: number
  readonly closedUnasked: number
  /** Streams that were cut and opened again. */
  readonly cuts: number
  readonly statusLagMs: readonly number[]
  readonly joinSeconds: number
}

const defaults = { vms: 10_000, seconds: 600 } as const
const joinsAtOnce = 32
const changeEveryMs = 500
const readyMs = 10 * 60_000

/** What a controller needs to hold its VMs, and whether it does. */
export const fleet: Bench = {
  name: 'fleet',
  about: 'memory and processor time for connected agents; --vms N (10,000), --seconds N (600)',
  async run(deps) {
    const { progress, signal, atEnd } = deps
    const { vms, seconds: wanted } = { ...defaults, ...deps.sizes }
    const stage = await createStage(deps, 'fleet')
    await stage.restart()
    const emptyKb = await stage.residentKb()
    const keys = progress.start(`${vms} keys`)
    const crowd = await stage.crowd(vms)
    keys.done()
    const joining = progress.start(`${vms} VMs join`)
    const begun = monotonicMs()
    const outcomes = await crowd.join({
      atOnce: joinsAtOnce,
      open: true,
      joined: (count) => joining.at(`${count} of ${vms}`),
    })
    const failure = outcomes.find((outcome) => outcome.failure !== undefined)?.failure
    if (failure !== undefined) throw new Error(`not all VMs came: ${failure}`)
    const entries = await watchEntryHealth(stage.world.cluster.kubeconfig)
    atEnd(() => entries.close())
    await waitFor(() => entries.open === vms, {
      what: 'all VMs to be ready',
      limitMs: readyMs,
      onTimeout: () => `${entries.open} are`,
      signal,
    })
    joining.done()
    const joinSeconds = (monotonicMs() - begun) / 1000

    const step = progress.start(`${wanted} s of heartbeats`)
    const ids = new Map(outcomes.map(({ index, vm }) => [index, vm]))
    const watched = await observe({ stage, crowd, entries, ids, wanted, signal })
    const samples: FleetSamples = { vms, emptyKb, joinSeconds, ...watched }
    step.done()
    const figures = fleetFigures(samples)
    // The profile is written by a controller that ends in order.
    await stage.world.controller.stop()
    return { json: figures, samples, figures: judged(figures), remarks: remarks(samples) }
  },
}

interface Observed {
  readonly stage: Stage
  readonly crowd: Crowd
  readonly entries: EntryHealth
  /** Ids of the VMs by their number. */
  readonly ids: ReadonlyMap<number, string>
  /** Seconds. */
  readonly wanted: number
  readonly signal: AbortSignal
}

async function observe({ stage, crowd, entries, ids, wanted, signal }: Observed) {
  const numbers = [...ids.keys()]
  const [vanishedBefore, cutsBefore] = [await vanishedOf(stage), (await crowd.count()).cuts]
  const residentKb: number[] = []
  const statusLagMs: number[] = []
  const [begun, cpuBefore] = [monotonicMs(), await stage.cpuSeconds()]
  const end = begun + 1000 * wanted
  while (monotonicMs() < end) {
    signal.throwIfAborted()
    const index = numbers[Math.floor(Math.random() * numbers.length)] ?? 0
    const vm = ids.get(index) ?? ''
    for (const health of ['unhealthy', 'healthy'] as const) {
      const seen = entries.becomes(vm, health === 'healthy')
      const at = await crowd.status(index, health)
      statusLagMs.push((await seen) - at)
      await sleep(changeEveryMs)
    }
    residentKb.push(await stage.residentKb())
  }
  const cpuSeconds = (await stage.cpuSeconds()) - cpuBefore
  return {
    seconds: (monotonicMs() - begun) / 1000,
    residentKb,
    cpuSeconds,
    statusLagMs,
    vanished: (await vanishedOf(stage)) - vanishedBefore,
    closedUnasked: entries.closedUnasked.size,
    cuts: (await crowd.count()).cuts - cutsBefore,
  }
}

async function vanishedOf({ world }: Stage): Promise<number> {
  const text = await world.operator.metrics()
  return [...text.matchAll(/^mooring_vanished_total\{[^}]*\} (\d+)/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}

/** Sums the samples up. */
export function fleetFigures(samples: FleetSamples): FleetFigures {
  const { vms, seconds, residentKb, cpuSeconds, vanished, closedUnasked, statusLagMs } = samples
  return {
    vms,
    seconds: rounded(seconds),
    residentMb: rounded(Math.max(...residentKb) / 1024, 1),
    cpuCores: rounded(cpuSeconds / seconds, 3),
    falselyLost: Math.max(vanished, closedUnasked),
    statusLagP99Ms: rounded(percentile(statusLagMs, 0.99)),
  }
}

/** What the goals allow at this size: they are set for 10,000. */
const goals = { vms: 10_000, residentMb: 850, cpuCores: 0.5 } as const

function judged(figures: FleetFigures): readonly Figure[] {
  const { vms, residentMb, cpuCores, falselyLost, statusLagP99Ms } = figures
  const isFull = vms >= goals.vms
  return [
    {
      name: `resident with ${vms} VMs`,
      value: residentMb,
      unit: 'MB',
      ...(isFull && { goal: { atMost: goals.residentMb } }),
    },
    { name: 'processor, cores', value: cpuCores, unit: '', goal: { atMost: goals.cpuCores } },
    { name: 'falsely lost', value: falselyLost, unit: '', goal: { atMost: 0 } },
    { name: 'from a status to its entry, p99', value: statusLagP99Ms, unit: 'ms' },
  ]
}

function remarks({
  vms,
  emptyKb,
  residentKb,
  cuts,
  statusLagMs,
  joinSeconds,
}: FleetSamples): readonly string[] {
  const perVm = (Math.max(...residentKb) - emptyKb) / vms
  return [
    `Without VMs the controller has ${rounded(emptyKb / 1024)} MB: ${rounded(perVm, 1)} kB for each VM, its record, entry and stream included. The highest of all looks counts.`,
    `A heartbeat every 2 s from each, and a change of health every half second or so: from the agent's word to its entry ${rounded(median(statusLagMs))} ms at the median of ${statusLagMs.length}.`,
    `${cuts} streams were cut. All VMs had joined and were ready after ${rounded(joinSeconds)} s.`,
    'Agents are simulated, over TLS with client certificates, from addresses of their own; they, etcd, API server and istiod share this machine.',
  ]
}
