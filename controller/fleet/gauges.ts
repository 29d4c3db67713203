import type { Mesh } from '../mesh/mesh.ts'
import type { Metrics } from '../metrics.ts'
import type { Queue } from './queue.ts'
import { rolloutProgress } from './rollout/progress.ts'
import { countPhases, type Roster } from './roster.ts'
import type { Streams } from './streams.ts'

export interface GaugesDeps {
  readonly metrics: Metrics
  readonly mesh: Pick<Mesh, 'facts'>
  readonly roster: Roster
  readonly streams: Pick<Streams, 'open'>
  readonly queue: Pick<Queue, 'depth'>
}

/** Counts the fleet whenever somebody reads its figures. */
export function keepGauges({ metrics, mesh, roster, streams, queue }: GaugesDeps): void {
  metrics.onRead(() => {
    metrics.set('mooring_streams', {}, streams.open)
    metrics.set('mooring_queue_depth', {}, queue.depth)
    metrics.reset('mooring_vms')
    metrics.reset('mooring_rollout_pending')
    for (const [name, pool] of roster.pools()) {
      const members = new Map([...roster.vms()].filter(([, record]) => record.pool === name))
      const counts = countPhases(members.values())
      for (const [phase, count] of Object.entries(counts)) {
        metrics.set('mooring_vms', { pool: name, phase }, count)
      }
      const { total = 0, updated = 0 } = rolloutProgress(pool, members, mesh.facts().artifacts) ?? {}
      metrics.set('mooring_rollout_pending', { pool: name }, total - updated)
    }
  })
}
