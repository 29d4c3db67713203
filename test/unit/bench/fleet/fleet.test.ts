import t from 'tap'
import { type FleetSamples, fleetFigures } from '../../../bench/fleet/fleet.ts'

const samples: FleetSamples = {
  vms: 1000,
  seconds: 100.2,
  emptyKb: 100_000,
  residentKb: [150_000, 153_600, 152_000],
  cpuSeconds: 5,
  vanished: 0,
  closedUnasked: 0,
  cuts: 0,
  statusLagMs: [10, 20, 30],
  joinSeconds: 12,
}

t.test('figures of a fleet: the highest memory, and nobody lost', async (t) => {
  t.same(fleetFigures(samples), {
    vms: 1000,
    seconds: 100,
    residentMb: 150,
    cpuCores: 0.05,
    falselyLost: 0,
    statusLagP99Ms: 30,
  })
})

t.test('a VM is falsely lost when the controller says so, and when its entry closes unasked', async (t) => {
  t.equal(fleetFigures({ ...samples, vanished: 2 }).falselyLost, 2)
  t.equal(fleetFigures({ ...samples, closedUnasked: 3 }).falselyLost, 3)
})
