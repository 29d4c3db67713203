import { setTimeout as sleep } from 'node:timers/promises'
import type { ProgressStep } from '../../testbed/progress.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'
import { closedAt } from '../../world/watch/peer.ts'
import { restMs } from './boot.ts'
import type { Stage } from './stage.ts'

const heartbeatMs = 2_000

/** Cuts the power of `n` VMs, one after the other: milliseconds until the peer's Envoy no longer had the endpoint. */
export async function measurePowerCuts(stage: Stage, n: number, step: ProgressStep): Promise<number[]> {
  const samples: number[] = []
  for (let i = 1; i <= n; i++) {
    step.at(`${i} of ${n}`)
    const member = await stage.boot(`cut-${i}`, 'servers')
    // At any time between two heartbeats: right after one it is noticed latest.
    await sleep(restMs + Math.random() * heartbeatMs)
    const begun = monotonicMs()
    await member.vm.cutPower()
    const closed = await closedAt(stage.endpoints, member.vm.address, begun, `peers to drop ${member.name}`)
    samples.push(closed - begun)
    await member.vm.destroy()
  }
  return samples
}
