import { monotonicMs } from '../../world/watch/monotonic.ts'
import type { Bench } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { median, percentile, rounded } from '../percentile.ts'
import type { JoinOutcome } from '../simulated/orders.ts'
import { createStage, type Stage } from '../simulated/stage.ts'
import { added, sumBy } from './metrics-text.ts'
import { measureRawCalls, readSample } from './raw-calls.ts'

/** What `--json` writes, without the samples. */
export interface JoinsFigures {
  readonly joins: number
  /** Sets of the three calls to the API server that a join must make, by a bare client. */
  readonly rawPerSecond: number
  readonly joinsPerSecond: number
  readonly ratio: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly controllerCpuMsPerJoin: number
}

/** Everything that was measured, as it came. */
export interface JoinsSamples {
  readonly rawPerSecond: number
  readonly seconds: number
  readonly controllerCpuSeconds: number
  readonly outcomes: readonly JoinOutcome[]
  /** Calls to the API server that write, by verb and resource. */
  readonly calls: Readonly<Record<string, number>>
  /** Mean times of the controller's own work, in seconds, by the names of its metrics. */
  readonly work: Readonly<Record<string, number>>
}

const defaultJoins = 10_000
const mostRaw = 2_000
const leastRaw = 200
const atOnce = 32
// A VM that is only a join never opens its stream, and must not be missed while others join.
const patient = { heartbeatSeconds: 60, lostAfterSeconds: 600 } as const

/** How fast one controller lets VMs in. */
export const joins: Bench = {
  name: 'joins',
  about: 'joins of simulated agents against one controller and a real API server; --joins N (10,000)',
  async run(deps) {
    const { progress, signal, sizes } = deps
    const count = sizes.joins ?? defaultJoins
    const stage = await createStage(deps, 'joins')
    const { world } = stage

    const first = await stage.crowd(1, patient)
    const [outcome] = await first.join({ atOnce: 1, open: false })
    if (outcome?.vm === undefined || outcome.vm === '') throw new Error(`no join at all: ${outcome?.failure}`)
    const sample = await readSample(world.cluster, outcome.vm)
    const raw = progress.start('the API server alone')
    // It is measured without anybody who watches what is made.
    await world.controller.stop()
    const rawPerSecond = await measureRawCalls(
      world.cluster,
      sample,
      Math.min(mostRaw, Math.max(leastRaw, count)),
    )
    raw.done(`${rounded(rawPerSecond)} a second`)
    signal.throwIfAborted()

    await stage.restart()
    const keys = progress.start(`${count} keys`)
    const crowd = await stage.crowd(count, patient)
    keys.done()
    const step = progress.start(`${count} joins`)
    const callsBefore = await callsOf(stage)
    const [begun, before] = [monotonicMs(), await stage.cpuSeconds()]
    const outcomes = await crowd.join({ atOnce, open: false, joined: (n) => step.at(`${n} of ${count}`) })
    const seconds = (monotonicMs() - begun) / 1000
    const controllerCpuSeconds = (await stage.cpuSeconds()) - before
    step.done()
    const calls = Object.fromEntries(added(callsBefore, await callsOf(stage)))
    const work = await workOf(stage)
    // The profile is written by a controller that ends in order.
    await world.controller.stop()
    const samples: JoinsSamples = { rawPerSecond, seconds, controllerCpuSeconds, outcomes, calls, work }
    const figures = joinsFigures(samples)
    return { json: figures, samples: compact(samples), figures: judged(figures), remarks: remarks(samples) }
  },
}

const written = /^(POST|PUT|PATCH|DELETE|APPLY) (virtualmachines|workloadentries|secrets|serviceaccounts)/

async function callsOf({ world }: Stage): Promise<ReadonlyMap<string, number>> {
  const { stdout } = await world.cluster.kubectl(['get', '--raw', '/metrics'])
  const all = sumBy(stdout, 'apiserver_request_total', ['verb', 'resource', 'subresource'])
  return new Map([...all].filter(([call]) => written.test(call)))
}

const timed = ['join', 'reconcile', 'store'] as const

async function workOf({ world }: Stage): Promise<Readonly<Record<string, number>>> {
  const text = await world.operator.metrics()
  const total = (name: string) => sumBy(text, name, []).get('') ?? Number.NaN
  return Object.fromEntries(
    timed.map((what) => {
      const name = `mooring_${what}_seconds`
      return [name, rounded(total(`${name}_sum`) / total(`${name}_count`), 4)]
    }),
  )
}

/** Sums the samples up. */
export function joinsFigures(samples: JoinsSamples): JoinsFigures {
  const { rawPerSecond, seconds, controllerCpuSeconds, outcomes } = samples
  const admitted = outcomes.filter(({ failure }) => failure === undefined)
  const ms = admitted.map((outcome) => outcome.ms)
  const perSecond = admitted.length / seconds
  return {
    joins: outcomes.length,
    rawPerSecond: rounded(rawPerSecond, 1),
    joinsPerSecond: rounded(perSecond, 1),
    ratio: rounded(perSecond / rawPerSecond, 2),
    failed: outcomes.length - admitted.length,
    p50Ms: rounded(median(ms)),
    p99Ms: rounded(percentile(ms, 0.99)),
    controllerCpuMsPerJoin: rounded((1000 * controllerCpuSeconds) / admitted.length, 2),
  }
}

function judged(figures: JoinsFigures): readonly Figure[] {
  const { joins, rawPerSecond, joinsPerSecond, ratio, failed, p50Ms, p99Ms, controllerCpuMsPerJoin } = figures
  return [
    { name: 'the three calls alone, per second', value: rawPerSecond, unit: '' },
    { name: 'joins per second', value: joinsPerSecond, unit: '' },
    { name: 'joins for each set of calls', value: ratio, unit: '', goal: { atLeast: 0.4 } },
    { name: `failed of ${joins}`, value: failed, unit: '', goal: { atMost: 0 } },
    { name: 'a join, p50', value: p50Ms, unit: 'ms' },
    { name: 'a join, p99', value: p99Ms, unit: 'ms' },
    {
      name: "controller's processor time for a join",
      value: controllerCpuMsPerJoin,
      unit: 'ms',
      goal: { atMost: 3 },
    },
  ]
}

function remarks({ outcomes, calls, work }: JoinsSamples): readonly string[] {
  const failures = new Set(outcomes.flatMap(({ failure }) => failure ?? []))
  const deferred = outcomes.filter((outcome) => outcome.deferred > 0).length
  return [
    `A join is a TLS connection of its own, a challenge and a signed request; keys were there before. ${atOnce} were under way at any time.`,
    'The bare client makes a VM, a WorkloadEntry without status and a token over 16 kept connections, with the controller stopped. etcd, API server, istiod, controller and agents share this machine.',
    `Calls to the API server for each join: ${perJoin(calls, outcomes.length)}.`,
    `Means of the controller's own work: ${Object.entries(work)
      .map(([name, seconds]) => `${name} ${rounded(1000 * seconds, 1)} ms`)
      .join(', ')}.`,
    'The controller follows no istiod here: by itself it would admit as many a second as istiod takes sidecars.',
    `${deferred} were told to come back later, and did; their whole time counts.`,
    ...[...failures].slice(0, 5).map((failure) => `Failed: ${failure}`),
  ]
}

function compact(samples: JoinsSamples): object {
  const { outcomes, ...rest } = samples
  return { ...rest, joinMs: outcomes.map(({ ms }) => rounded(ms, 1)) }
}

function perJoin(calls: Readonly<Record<string, number>>, joins: number): string {
  return Object.entries(calls)
    .toSorted(([, a], [, b]) => b - a)
    .map(([call, count]) => `${rounded(count / joins, 2)} ${call}`)
    .join(', ')
}
