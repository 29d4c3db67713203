import { monotonicMs } from '../../test/world/watch/monotonic.ts'
import { closedAt } from '../../test/world/watch/peer.ts'
import type { Cast } from '../cast.ts'
import { loadFigures, type PowerCutFigures } from '../figures.ts'
import { acts, closedAfterCut, lost, requests, steps } from '../narration.ts'
import { powerCutLimitMs } from '../promises.ts'
import { endTraffic, startTraffic } from './load.ts'

/** The power of one server is cut under load: what cannot be saved is counted, and when it ended. */
export async function powerCutScene(cast: Cast, name: string): Promise<PowerCutFigures> {
  const { stage, servers, endpoints } = cast
  const member = servers.get(name)
  if (member === undefined) throw new Error(`there is no ${name}`)
  stage.act(acts.powerCut(name))
  const load = await startTraffic(cast, { 'download-seconds': 1, 'limit-ms': 3_000 })

  const cutting = stage.start(steps.cut(name))
  const show = setInterval(() => cutting.at(requests(load.progress())), 200)
  const [cutAt, cutWall] = [monotonicMs(), Date.now()]
  await member.vm.cutPower()
  const closed = await closedAt(endpoints, member.vm.address, cutAt, `peers to drop ${name}`).finally(() =>
    clearInterval(show),
  )
  const closedMs = Math.round(closed - cutAt)
  servers.delete(name)
  if (closedMs <= powerCutLimitMs) cutting.done(closedAfterCut(closedMs), { ms: closedMs })
  else cutting.broken(closedAfterCut(closedMs))

  const counting = stage.start(steps.counting)
  const summary = await endTraffic(load, counting.at)
  const begunMs = load.failures.map((failure) => failure.requestBegunAt - cutWall)
  const figures = {
    vm: name,
    ...loadFigures(summary),
    closedMs,
    failingMs: Math.max(0, ...begunMs),
    failedAfterClosed: begunMs.filter((ms) => ms > closedMs).length,
  }
  const label = requests(figures)
  if (figures.failedAfterClosed === 0) counting.done(lost(figures), { label })
  else counting.broken(lost(figures), { label })
  return figures
}
