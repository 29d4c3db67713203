import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import { call } from '../../world/call.ts'
import type { Load } from '../../world/load.ts'
import type { Member } from '../../world/member.ts'
import { waitFor } from '../../world/waiting.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { closedAt } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { countsOf, type LoadCounts } from './load-counts.ts'
import type { Stage } from './stage.ts'

export interface LeaveSample {
  /** From SIGTERM until the peer's Envoy no longer had the endpoint. */
  readonly closedMs: number
  /** From SIGTERM to the end of the agent. */
  readonly leftMs: number
  /** HTTP requests that were open on it at SIGTERM, downloads above all. */
  readonly openRequests: number
}

const downloads = {
  'download-seconds': 30,
  'download-workers': 2,
  // Longer than a download takes.
  'limit-ms': 60_000,
} as const

/** Enough that ten leaves of half a minute come to far more than the requests of the goal. */
const loadOptions = {
  'http1-rate': 40,
  'http2-rate': 40,
  'tcp-rate': 40,
  'grpc-ms': 2_000,
  ...downloads,
} as const

// Downloads that began together would end together: then a VM that is new waits half a minute for its first one.
const downloadStarts = 3

/** Lets `n` VMs come and leave by SIGTERM under load of all protocols, beside two that stay. */
export async function measureLeaves(
  stage: Stage,
  n: number,
  step: ProgressStep,
): Promise<{ samples: LeaveSample[]; load: LoadCounts }> {
  const load = stage.world.load(stage.caller, { seconds: 86_400, options: loadOptions })
  await load.firstOk
  const loads = [load]
  for (let i = 1; i < downloadStarts; i++) {
    step.at('downloads begin')
    await sleep((downloads['download-seconds'] * 1000) / downloadStarts)
    const ports = { download: echo.http }
    loads.push(stage.world.load(stage.caller, { seconds: 86_400, ports, options: downloads }))
  }
  const samples: LeaveSample[] = []
  for (let i = 1; i <= n; i++) {
    const { requests, failed } = load.progress()
    step.at(`${i} of ${n}, ${requests} requests, ${failed} failed`)
    const member = await stage.boot(`leave-${i}`, 'servers')
    await served(load, member)
    const openRequests = await longRequest(member)
    const begun = monotonicMs()
    const [closed] = await Promise.all([
      closedAt(stage.endpoints, member.vm.address, begun, `peers to drop ${member.name}`),
      member.shutDown(),
    ])
    samples.push({ closedMs: closed - begun, leftMs: monotonicMs() - begun, openRequests })
    await member.vm.destroy()
  }
  step.at('the last downloads end')
  return { samples, load: countsOf(await Promise.all(loads.map((each) => each.stop()))) }
}

/** Waits until the load has its answers from this VM as from the others. */
export async function served(load: Load, member: Member): Promise<void> {
  await waitFor(() => (load.progress().instances[member.name]?.answers ?? 0) >= 50, {
    what: `${member.name} to serve`,
  })
}

const downloadWaitMs = 30_000

/** Waits until a request that lasts is open on the VM, by its own Envoy's count; 0 when none came. */
async function longRequest(member: Member): Promise<number> {
  let before = 0
  try {
    return await waitFor(
      async () => {
        const open = await activeRequests(member)
        const lasting = Math.min(open, before)
        before = open
        return lasting > 0 && lasting
      },
      { what: `a long request on ${member.name}`, limitMs: downloadWaitMs, everyMs: 250 },
    )
  } catch {
    return 0
  }
}

async function activeRequests(member: Member): Promise<number> {
  const { body } = await call(
    member.vm,
    'http://127.0.0.1:15000/stats?filter=inbound.*_8080.*downstream_rq_active',
  )
  return [...body.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
}
