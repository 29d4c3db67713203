import { monotonicMs } from '../../test/world/watch/monotonic.ts'
import { closedAt } from '../../test/world/watch/peer.ts'
import type { Cast } from '../cast.ts'
import { loadFigures, type ScaleInFigures } from '../figures.ts'
import { acts, counted, left, requests, steps } from '../narration.ts'
import { endTraffic, startTraffic } from './load.ts'

/** One server is told to shut down while requests of every kind are open on it. */
export async function scaleInScene(cast: Cast, name: string): Promise<ScaleInFigures> {
  const { stage, servers, endpoints } = cast
  const member = servers.get(name)
  if (member === undefined) throw new Error(`there is no ${name}`)
  stage.act(acts.scaleIn(name))
  const load = await startTraffic(cast, { 'download-seconds': 5 })

  const leaving = stage.start(steps.leave(name))
  const show = setInterval(() => leaving.at(requests(load.progress())), 200)
  const begun = monotonicMs()
  const [closed] = await Promise.all([
    closedAt(endpoints, member.vm.address, begun, `peers to drop ${name}`),
    member.shutDown(),
  ]).finally(() => clearInterval(show))
  const times = { closedMs: Math.round(closed - begun), leftMs: Math.round(monotonicMs() - begun) }
  servers.delete(name)
  leaving.done(left(times))

  const counting = stage.start(steps.counting)
  const figures = { vm: name, ...loadFigures(await endTraffic(load, counting.at)), ...times }
  const label = requests(figures)
  if (figures.failed === 0) counting.done(counted(figures), { label })
  else counting.broken(counted(figures), { label })
  return figures
}
