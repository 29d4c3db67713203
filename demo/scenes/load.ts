import type { LoadSummary } from '../../test/testbed/apps/load-report.ts'
import type { Load, LoadOptions } from '../../test/world/load.ts'
import { waitFor } from '../../test/world/waiting.ts'
import type { Cast } from '../cast.ts'
import { requests, steps } from '../narration.ts'

/** Requests that are to be answered before something happens, and again after it. */
const enough = 300

const rates = { 'http1-rate': 40, 'http2-rate': 40, 'tcp-rate': 40, 'grpc-ms': 1_000, 'download-workers': 3 }

/** Starts load of every protocol on the servers, and waits until all of them answer. */
export async function startTraffic(
  { stage, world, client, servers }: Cast,
  options: NonNullable<LoadOptions['options']>,
): Promise<Load> {
  const step = stage.start(steps.load)
  const load = world.load({ vm: client }, { keepFailures: true, options: { ...rates, ...options } })
  await load.firstOk
  const serve = () =>
    [...servers.keys()].every(
      (name) => (load.progress().instances[name]?.answers ?? 0) >= enough / servers.size / 2,
    )
  await waitFor(
    () => {
      step.at(requests(load.progress()))
      return serve() && load.progress().requests >= enough
    },
    { what: 'load on every server' },
  )
  step.done()
  return load
}

/** Lets it go on for as many requests as before, then ends it; open requests finish and count. */
export async function endTraffic(load: Load, show: (detail: string) => void): Promise<LoadSummary> {
  const before = load.progress().requests
  await waitFor(
    () => {
      show(requests(load.progress()))
      return load.progress().requests >= before + enough
    },
    { what: 'load afterwards' },
  )
  return load.stop()
}
