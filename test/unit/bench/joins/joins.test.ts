import t from 'tap'
import { joinsFigures } from '../../../bench/joins/joins.ts'

const outcome = (ms: number) => ({ index: 0, ms, deferred: 0, vm: 'vm-1' })

t.test('figures of joins count those that were admitted', async (t) => {
  const samples = {
    rawPerSecond: 200,
    seconds: 2,
    controllerCpuSeconds: 0.6,
    calls: {},
    work: {},
    outcomes: [
      ...Array.from({ length: 200 }, (_, i) => outcome(i)),
      { ...outcome(9e9), vm: '', failure: 'x' },
    ],
  }
  t.same(joinsFigures(samples), {
    joins: 201,
    rawPerSecond: 200,
    joinsPerSecond: 100,
    ratio: 0.5,
    failed: 1,
    p50Ms: 100,
    p99Ms: 197,
    controllerCpuMsPerJoin: 3,
  })
})
