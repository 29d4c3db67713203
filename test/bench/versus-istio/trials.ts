import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadSummary } from '../../testbed/apps/load-report.ts'
import type { ProgressStep } from '../../testbed/progress.ts'
import type { Load } from '../../world/load.ts'
import type { Member } from '../../world/member.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { closedAt, watchAnswers } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { restMs } from '../lifecycle/boot.ts'
import { served } from '../lifecycle/leave.ts'
import type { Entrant, Side } from './side.ts'
import type { Stage } from './stage.ts'

export const endings = ['leave', 'kill', 'powerCut'] as const
export type Ending = (typeof endings)[number]

/** One VM that went. */
export interface Trial {
  /** Until the peer's Envoy no longer had the endpoint. */
  readonly closedMs: number
  /** What the load saw from before the VM went until its endpoint was closed and for a while after. */
  readonly load: LoadSummary
}

/** By way and, of each, a figure for every VM. */
export type BySide<T> = Readonly<Record<Side['name'], readonly T[]>>

/** Boots `n` VMs by each way, in the same namespaces: milliseconds from the start to the peer's first 200. */
export async function measureBoots(
  stage: Stage,
  n: number,
  step: ProgressStep,
): Promise<BySide<number> & { readonly quickIstio: readonly number[] }> {
  const series = [...stage.sides, stage.quickIstio].map((side) => ({ side, samples: [] as number[] }))
  for (let i = 1; i <= n; i++) {
    const member = await stage.addVm(`boot-${i}`)
    // Mooring last: it also keeps others from an address that it removed a VM from.
    for (const { side, samples } of series.toSorted(mooringLast)) {
      step.at(`${i} of ${n}, ${side.name}`)
      const entrant = await stage.prepare(member, side)
      const answers = watchAnswers(stage.caller.vm, `http://${side.host}:${echo.http}/`)
      await sleep(restMs)
      const begun = monotonicMs()
      await entrant.start()
      const first = await answers.first(
        ({ status, instance }) => status === 200 && instance === member.name,
        {
          what: `${member.name} to answer by ${side.name}`,
        },
      )
      samples.push(first.at - begun)
      await answers.stop()
      await takeAway(stage, member, entrant)
    }
    await member.vm.destroy()
  }
  const of = (at: number) => series[at]?.samples ?? []
  return { istio: of(0), mooring: of(1), quickIstio: of(2) }
}

function mooringLast(a: { readonly side: Side }, b: { readonly side: Side }): number {
  return Number(a.side.name === 'mooring') - Number(b.side.name === 'mooring')
}

/** Two VMs of each way that stay, so that there is somebody to take the load over. */
export async function addStayers(stage: Stage, step: ProgressStep): Promise<void> {
  for (const side of stage.sides) {
    for (const number of [1, 2]) {
      step.at(`${side.name} ${number}`)
      await stage.enter(await stage.addVm(`stay-${side.name}-${number}`), side)
    }
  }
}

const loadOptions = { 'download-seconds': 5, 'limit-ms': 15_000 }
// What was sent to the VM in the last moment has failed by then, or was answered.
const afterMs = 2_000

/** Ends `n` VMs of each way under load, in the same namespaces, one after the other. */
export async function measureEndings(
  stage: Stage,
  ending: Ending,
  n: number,
  step: ProgressStep,
): Promise<BySide<Trial>> {
  const trials = { istio: [] as Trial[], mooring: [] as Trial[] }
  for (let i = 1; i <= n; i++) {
    const member = await stage.addVm(`${ending.toLowerCase()}-${i}`)
    for (const side of stage.sides) {
      step.at(`${i} of ${n}, ${side.name}`)
      trials[side.name].push(await endOne(stage, member, side, ending))
    }
    await member.vm.destroy()
  }
  return trials
}

async function endOne(stage: Stage, member: Member, side: Side, ending: Ending): Promise<Trial> {
  const { world, caller, endpoints } = stage
  const entrant = await stage.enter(member, side)
  const load: Load = world.load(caller, { host: side.host, seconds: 3_600, options: loadOptions })
  await load.firstOk
  await served(load, member)
  const begun = monotonicMs()
  const closed = closedAt(
    endpoints,
    member.vm.address,
    begun,
    `peers to drop ${member.name} of ${side.name} after ${ending}`,
  )
  const [at] = await Promise.all([closed, end(member, entrant, ending)])
  await sleep(afterMs)
  const summary = await load.stop()
  await takeAway(stage, member, entrant)
  return { closedMs: at - begun, load: summary }
}

function end(member: Member, entrant: Entrant, ending: Ending): Promise<void> {
  if (ending === 'leave') return entrant.shutDown()
  if (ending === 'kill') return entrant.killSidecar()
  return member.vm.cutPower()
}

async function takeAway(stage: Stage, member: Member, entrant: Entrant): Promise<void> {
  await stage.reset(member)
  await entrant.forget()
}
