import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { watchAnswers } from '../../world/watch/peer.ts'
import { echo } from '../../world/world.ts'
import { dismiss, lonePools, type Stage } from './stage.ts'

export interface BootSample {
  /** From the start of the agent to the peer's first 200. */
  readonly ms: number
  /** Milliseconds from the start of the agent until each condition was true, by the controller's record. */
  readonly conditions: Readonly<Record<string, number>>
}

/** Rest between two boots, so that what the one before made istiod do is over. */
export const restMs = 1_000

/** Boots `n` VMs, one after the other, each new. */
export async function measureBoots(stage: Stage, n: number, step: ProgressStep): Promise<BootSample[]> {
  const answers = watchAnswers(stage.caller.vm, `http://${lonePools.measured}:${echo.http}/`)
  const samples: BootSample[] = []
  for (let i = 1; i <= n; i++) {
    step.at(`${i} of ${n}`)
    const member = await stage.prepare(`boot-${i}`, 'measured')
    await sleep(restMs)
    const [begun, begunWall] = [monotonicMs(), Date.now()]
    await member.startAgent()
    const first = await answers.first((event) => event.status === 200 && event.instance === member.name, {
      what: `the first answer of ${member.name}`,
    })
    const { conditions } = await member.view()
    samples.push({
      ms: first.at - begun,
      conditions: Object.fromEntries(
        conditions.filter((c) => c.status === 'True').map((c) => [c.type, c.since - begunWall]),
      ),
    })
    await dismiss(member)
  }
  await answers.stop()
  return samples
}
