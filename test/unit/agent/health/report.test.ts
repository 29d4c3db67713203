import fc from 'fast-check'
import t from 'tap'
import { type HealthInput, healthReport } from '../../../../agent/health/report.ts'

const well: HealthInput = {
  sidecar: { running: true, downForGood: false },
  envoyReady: true,
  capture: { wanted: true, applied: true },
  application: { verdict: 'healthy', detail: '' },
}
const lastExit = { at: 0, code: 1, signal: null, tail: [] }

t.test('all parts together', async (t) => {
  t.match(healthReport(well), { health: 'healthy' })
  const cases: readonly [Partial<HealthInput>, string, string][] = [
    [{ sidecar: { running: false, downForGood: false } }, 'unknown', 'SidecarNotStarted'],
    [{ sidecar: { running: false, downForGood: false, lastExit } }, 'unhealthy', 'SIDECAR_EXITED'],
    [{ sidecar: { running: false, downForGood: true, lastExit } }, 'unhealthy', 'SIDECAR_EXITED'],
    [{ envoyReady: undefined }, 'unknown', 'SIDECAR_NOT_READY'],
    [{ envoyReady: false }, 'unhealthy', 'SIDECAR_NOT_READY'],
    [
      { envoyReady: undefined, sidecar: { running: true, downForGood: false, lastExit } },
      'unhealthy',
      'SIDECAR_NOT_READY',
    ],
    [{ capture: { wanted: true, applied: false } }, 'unhealthy', 'CaptureMissing'],
    [{ application: { verdict: 'unknown', detail: 'x' } }, 'unknown', 'ApplicationUnknown'],
    [{ application: { verdict: 'unhealthy', detail: 'x' } }, 'unhealthy', 'APPLICATION_UNHEALTHY'],
  ]
  for (const [part, health, reason] of cases) t.match(healthReport({ ...well, ...part }), { health, reason })
  t.match(healthReport({ ...well, capture: { wanted: false, applied: false } }), { health: 'healthy' })
})

t.test('healthy only when every part is', async (t) => {
  const any = fc.record({
    sidecar: fc.record({ running: fc.boolean(), downForGood: fc.boolean() }),
    envoyReady: fc.constantFrom(true, false, undefined),
    capture: fc.record({ wanted: fc.boolean(), applied: fc.boolean() }),
    application: fc.record({
      verdict: fc.constantFrom('unknown', 'healthy', 'unhealthy'),
      detail: fc.string(),
    }),
  }) as fc.Arbitrary<HealthInput>
  fc.assert(
    fc.property(any, (input) => {
      const all =
        input.sidecar.running &&
        input.envoyReady === true &&
        (!input.capture.wanted || input.capture.applied) &&
        input.application.verdict === 'healthy'
      return (healthReport(input).health === 'healthy') === all
    }),
  )
  t.pass('for any input')
})
