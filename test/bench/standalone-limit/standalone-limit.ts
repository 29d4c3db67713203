import { createWorld } from '../../world/world.ts'
import type { Bench } from '../bench.ts'
import type { Figure } from '../figure.ts'
import { median, percentile, rounded } from '../percentile.ts'
import { type ChangeSamples, measureChanges } from './changes.ts'
import { createFleet } from './fleet.ts'
import { contentOf, findIstiod } from './istiod-process.ts'

/** Sizes of a fleet; the standalone mesh is meant for the last one at most. */
const sizes = [100, 300, 1000] as const

/** What is known of one size. */
export interface LimitFigures {
  readonly entries: number
  readonly closedMs: { readonly p50: number; readonly p90: number }
  readonly istiod: {
    readonly cpuSecondsPerChange: number
    readonly cpuPercentAtRest: number
    readonly residentKb: number
  }
  readonly reload: { readonly files: number; readonly bytes: number; readonly ms: number }
}

/** How a mesh without Kubernetes bears its size. */
export const standaloneLimit: Bench = {
  name: 'standalone-limit',
  about: `closing time and istiod's CPU at ${sizes.join(', ')} entries; about 5 minutes`,
  async run({ n, progress, signal, atEnd }) {
    const world = await createWorld({ name: 'limit', progress, signal })
    atEnd(() => world.close())
    const fleet = createFleet(world)
    atEnd(async () => fleet.close())
    const caller = await world.boot('caller', 'clients')
    const istiod = await findIstiod(world.network.host)
    const sizesFound: LimitFigures[] = []
    const samples: Record<string, ChangeSamples> = {}
    for (const size of sizes) {
      signal.throwIfAborted()
      const growing = progress.start(`${size} VMs join`)
      await fleet.grow(size, growing)
      growing.done()
      const step = progress.start(`changes among ${size} entries`)
      const changes = await measureChanges({ n, host: world.network.host, caller, fleet, istiod, step })
      step.done()
      samples[size] = changes
      sizesFound.push(await limitFigures(size, changes, istiod))
    }
    return { json: { sizes: sizesFound }, samples, figures: sizesFound.flatMap(asRows), remarks }
  },
}

const remarks = [
  'Entries are VMs that one process simulates over the real protocol, in pools of 50; the peer that looks is a real one.',
  'Closing is counted from the write of the file to the peer; 0.15 s of it are istiod waiting for more to come.',
  'A reload is the time from the write to the update that istiod counts, the 50 ms of its own waiting included.',
]

async function limitFigures(
  entries: number,
  changes: ChangeSamples,
  istiod: Awaited<ReturnType<typeof findIstiod>>,
): Promise<LimitFigures> {
  const { closedMs, reloadMs, cpuSecondsPerChange, cpuPercentAtRest } = changes
  return {
    entries,
    closedMs: { p50: rounded(median(closedMs)), p90: rounded(percentile(closedMs, 0.9)) },
    istiod: {
      cpuSecondsPerChange: rounded(cpuSecondsPerChange, 3),
      cpuPercentAtRest: rounded(cpuPercentAtRest, 1),
      residentKb: await istiod.residentKb(),
    },
    reload: { ...(await contentOf(istiod.objects)), ms: rounded(median(reloadMs)) },
  }
}

function asRows({ entries, closedMs, istiod, reload }: LimitFigures): Figure[] {
  const row = (name: string, value: number, unit: Figure['unit']): Figure => ({
    name: `${entries} entries: ${name}`,
    value,
    unit,
  })
  return [
    { ...row('closed to peers, p50', closedMs.p50, 'ms'), goal: { atMost: 500 } },
    row('closed to peers, p90', closedMs.p90, 'ms'),
    row("istiod's CPU a change", istiod.cpuSecondsPerChange, 's'),
    row("istiod's CPU at rest", istiod.cpuPercentAtRest, '%'),
    row('istiod resident', rounded(istiod.residentKb / 1024, 1), 'MB'),
    row('read at each reload', rounded(reload.bytes / 1024), 'kB'),
    row('a reload', reload.ms, 'ms'),
  ]
}
