import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Namespace } from '../../testbed/network/namespace.ts'
import type { ProgressStep } from '../../testbed/progress.ts'
import type { Member } from '../../world/member.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { createObserver } from '../../world/watch/observer.ts'
import { closedAt, opened, watchEndpoints } from '../../world/watch/peer.ts'
import { watchEntry } from './entry-writes.ts'
import { addressOf, changedHost, type Fleet } from './fleet.ts'
import type { IstiodProcess } from './istiod-process.ts'

/** What one change costs in a fleet of some size. */
export interface ChangeSamples {
  /** From the controller's write until the peer's Envoy no longer had the endpoint. */
  readonly closedMs: readonly number[]
  /** From the write until istiod had read everything again and counted the update. */
  readonly reloadMs: readonly number[]
  /** istiod's CPU time for each change, what it needs at rest taken off. */
  readonly cpuSecondsPerChange: number
  /** istiod's CPU time when nothing changes, per second. */
  readonly cpuPercentAtRest: number
}

const restMs = 10_000
// Long enough that istiod does not put two changes into one push.
const pauseMs = 1_500

export interface ChangesDeps {
  readonly n: number
  readonly host: Pick<Namespace, 'spawn'>
  readonly caller: Member
  readonly fleet: Fleet
  readonly istiod: IstiodProcess
  readonly step: ProgressStep
}

/** Closes and opens one endpoint `n` times, and measures what that takes. */
export async function measureChanges(deps: ChangesDeps): Promise<ChangeSamples> {
  const { n, caller, fleet, istiod, step } = deps
  const address = addressOf(0)
  const endpoints = watchEndpoints(caller.vm, { filter: changedHost.replaceAll('.', '\\.') })
  await opened(endpoints, address, 'the peer to have the endpoint')
  const writes = await watchEntry(istiod.objects, 'default', fleet.first.vm)

  async function change(): Promise<{ closedMs: number; written: number }> {
    const asked = monotonicMs()
    fleet.first.status({ health: 'unhealthy' })
    const written = await writes.closed(asked)
    const closed = await closedAt(endpoints, address, asked, 'the peer to drop the endpoint')
    await sleep(pauseMs)
    fleet.first.status({ health: 'healthy' })
    await opened(endpoints, address, 'the peer to have the endpoint again')
    await sleep(pauseMs)
    return { closedMs: closed - written, written }
  }

  step.at('istiod at rest')
  const atRest = await cpuDuring(istiod, () => sleep(restMs))
  const closedMs: number[] = []
  const changing = await cpuDuring(istiod, async () => {
    for (let i = 1; i <= n; i++) {
      step.at(`change ${i} of ${n}`)
      closedMs.push((await change()).closedMs)
    }
  })
  step.at('reloads')
  const reloadMs = await measureReloads(deps, async () => (await change()).written)
  await endpoints.stop()
  writes.end()
  const restShare = atRest.cpu / atRest.elapsed
  return {
    closedMs,
    reloadMs,
    // Each closing is followed by an opening: two changes.
    cpuSecondsPerChange: Math.max(0, changing.cpu - restShare * changing.elapsed) / (2 * n),
    cpuPercentAtRest: 100 * restShare,
  }
}

const reloads = 5

// Apart from the CPU's measurement, since looking at istiod's counters costs it CPU.
async function measureReloads(deps: ChangesDeps, change: () => Promise<number>): Promise<number[]> {
  const url = `http://${deps.istiod.monitoring}/metrics`
  const program = fileURLToPath(new URL('../../world/watch/updates-program.ts', import.meta.url))
  const updates = createObserver<{ begunAt: number; at: number }>(
    { name: 'host', spawn: deps.host.spawn },
    program,
    ['--url', url],
  )
  await updates.first(() => true, { what: "istiod's counters" })
  const samples: number[] = []
  for (let i = 0; i < reloads; i++) {
    const written = await change()
    const update = await updates.first((event) => event.at > written, { what: "istiod's update" })
    samples.push(update.at - written)
  }
  await updates.stop()
  return samples
}

async function cpuDuring(istiod: IstiodProcess, work: () => Promise<unknown>) {
  const [begun, before] = [monotonicMs(), await istiod.cpuSeconds()]
  await work()
  return { cpu: (await istiod.cpuSeconds()) - before, elapsed: (monotonicMs() - begun) / 1000 }
}
