import type { ProgressStep } from '../../testbed/progress.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { closedAt, watchAnswers } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { served } from './leave.ts'
import { countsOf, type LoadCounts } from './load-counts.ts'
import { dismiss, type Stage } from './stage.ts'

export interface KillSample {
  /** From SIGKILL of pilot-agent until the peer's Envoy no longer had the endpoint. */
  readonly closedMs: number
  /** From SIGKILL to the first answer by it after that. */
  readonly backMs: number
}

/** Kills the sidecars of `n` VMs, one after the other, under load; two more serve on. */
export async function measureKills(
  stage: Stage,
  n: number,
  step: ProgressStep,
): Promise<{ samples: KillSample[]; load: LoadCounts }> {
  const options = { 'download-seconds': 5, 'limit-ms': 15_000 }
  const load = stage.world.load(stage.caller, { seconds: 86_400, options })
  await load.firstOk
  const answers = watchAnswers(stage.caller.vm, `http://${echo.host}:${echo.http}/`)
  const samples: KillSample[] = []
  for (let i = 1; i <= n; i++) {
    step.at(`${i} of ${n}`)
    // A new VM each: a second crash of the same one within half a minute is backed off from, and is another figure.
    const member = await stage.boot(`kill-${i}`, 'servers')
    await served(load, member)
    const { pilotAgent } = await member.sidecar()
    if (pilotAgent === undefined) throw new Error(`${member.name} has no sidecar`)
    const begun = monotonicMs()
    process.kill(pilotAgent, 'SIGKILL')
    const closed = await closedAt(stage.endpoints, member.vm.address, begun, `peers to drop ${member.name}`)
    const back = await answers.first(
      (event) => event.begunAt > closed && event.status === 200 && event.instance === member.name,
      { what: `${member.name} to serve again` },
    )
    samples.push({ closedMs: closed - begun, backMs: back.at - begun })
    await dismiss(member)
  }
  await answers.stop()
  return { samples, load: countsOf([await load.stop()]) }
}
