import fc from 'fast-check'
import t from 'tap'
import { healthReport } from '../../../agent/health/report.ts'
import { conditionsOf, drainsAlone, isUsable, leavePatience, renewAt, stageOf } from '../../../agent/plan.ts'

const share = fc.double({ min: 0, max: 0.999999, noNaN: true })

t.test('renewal comes before two thirds of the life, and not before two fifths', async (t) => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.integer({ min: 100, max: 1e9 }), share, (from, life, random) => {
      const at = renewAt({ from, until: from + life }, random)
      return at >= from + life * 0.4 && at < from + (life * 2) / 3
    }),
  )
  t.equal(renewAt({ from: 1000, until: 2000 }, 0.5), 1500)
})

t.test('an identity that is about to end is of no use', async (t) => {
  t.ok(isUsable({ from: 0, until: 100_000 }, 90_000))
  t.notOk(isUsable({ from: 0, until: 100_000 }, 99_000))
  t.notOk(isUsable({ from: 0, until: 100_000 }, 200_000))
})

t.test('conditions: the part at fault and those before it, nothing after it', async (t) => {
  const done = (type: string) => ({ type, status: 'True', reason: 'Done', message: '' })
  t.same(conditionsOf({ health: 'healthy', reason: 'Healthy', detail: '' }), [
    done('SidecarRunning'),
    done('SidecarReady'),
    done('TrafficCaptured'),
    done('ApplicationHealthy'),
  ])
  t.same(conditionsOf({ health: 'unhealthy', reason: 'SIDECAR_NOT_READY', detail: 'x' }), [
    done('SidecarRunning'),
    { type: 'SidecarReady', status: 'False', reason: 'SIDECAR_NOT_READY', message: 'x' },
  ])
  t.same(conditionsOf({ health: 'unknown', reason: 'SidecarNotStarted', detail: 'x' }), [
    { type: 'SidecarRunning', status: 'Unknown', reason: 'SidecarNotStarted', message: 'x' },
  ])
})

t.test('every report of the health monitor has its conditions', async (t) => {
  const input = fc.record({
    sidecar: fc.record({
      running: fc.boolean(),
      downForGood: fc.boolean(),
      lastExit: fc.constant({ at: 1, code: 1, signal: null, tail: [] }),
    }),
    envoyReady: fc.constantFrom(true, false, undefined),
    capture: fc.record({ wanted: fc.boolean(), applied: fc.boolean() }),
    application: fc.record({
      verdict: fc.constantFrom('unknown' as const, 'healthy' as const, 'unhealthy' as const),
      detail: fc.string(),
    }),
  })
  fc.assert(
    fc.property(input, (facts) => {
      const report = healthReport(facts)
      const faults = conditionsOf(report).filter(({ status }) => status !== 'True')
      return report.health === 'healthy' ? faults.length === 0 : faults.length === 1
    }),
  )
  t.pass('it has')
})

t.test('the stage of a VM that lives', async (t) => {
  t.equal(stageOf({ joined: false, health: 'unknown' }), 'joining')
  t.equal(stageOf({ joined: true, health: 'unhealthy' }), 'converging')
  t.equal(stageOf({ joined: true, health: 'healthy' }), 'serving')
})

t.test('a VM waits for the controller, but not for ever', async (t) => {
  const { unreachableMs, silentMs } = leavePatience
  t.ok(drainsAlone({ joined: false, connected: false, waitedMs: 0 }), 'nobody knows it')
  t.notOk(drainsAlone({ joined: true, connected: false, waitedMs: unreachableMs - 1 }))
  t.ok(drainsAlone({ joined: true, connected: false, waitedMs: unreachableMs }))
  t.notOk(drainsAlone({ joined: true, connected: true, waitedMs: unreachableMs }))
  t.ok(drainsAlone({ joined: true, connected: true, waitedMs: silentMs }))
})
