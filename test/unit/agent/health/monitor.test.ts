import t from 'tap'
import { createApplicationWatch } from '../../../../agent/health/application.ts'
import { createHealthMonitor } from '../../../../agent/health/monitor.ts'
import type { SidecarState } from '../../../../agent/sidecar/supervisor.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

function world() {
  const clock = createFakeClock()
  const stop = new AbortController()
  const listeners = new Set<(state: SidecarState) => void>()
  let state: SidecarState = { running: false, restarts: 0, downForGood: false }
  let ready = true
  let well = true
  let asked = 0
  const monitor = createHealthMonitor({
    supervisor: {
      state: () => state,
      onChange(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    envoy: {
      readiness: async () => {
        asked += 1
        return { ready, detail: '' }
      },
    },
    application: createApplicationWatch({
      clock,
      probe: async () => ({ ok: well, detail: well ? '' : 'broken' }),
    }),
    clock,
    signal: stop.signal,
    random: () => 0.5,
  })
  const told: string[] = []
  monitor.onChange(({ health, reason }) => told.push(`${health} ${reason}`))
  return {
    clock,
    stop,
    monitor,
    told,
    asked: () => asked,
    set: (next: SidecarState) => {
      state = next
      for (const listener of listeners) listener(state)
    },
    envoy: (value: boolean) => {
      ready = value
    },
    application: (value: boolean) => {
      well = value
    },
  }
}
const bundle = someBundle((b) => {
  b.probe = { tcp: { port: 1 }, periodSeconds: 1, failures: 1 }
})
const run = (startedAt: number): SidecarState => ({
  running: true,
  pid: 1,
  startedAt,
  restarts: 0,
  downForGood: false,
})

t.test('from nothing to healthy', async (t) => {
  const { monitor, set, told, clock, stop } = world()
  t.match(monitor.report(), { health: 'unknown', reason: 'SidecarNotStarted' })
  set(run(1))
  monitor.converged(bundle)
  await clock.advance(0)
  t.match(monitor.report(), { health: 'healthy' })
  t.same(told, ['unknown SIDECAR_NOT_READY', 'unknown ApplicationUnknown', 'healthy Healthy'])
  stop.abort()
})

t.test('a crash is told in the same turn, and recovery is found without convergence', async (t) => {
  const { monitor, set, told, clock, stop, envoy } = world()
  set(run(1))
  monitor.converged(bundle)
  await clock.advance(0)
  told.length = 0
  set({
    running: false,
    restarts: 0,
    downForGood: false,
    lastExit: { at: 0, code: 1, signal: null, tail: [] },
  })
  t.same(told, ['unhealthy SIDECAR_EXITED'])
  envoy(false)
  set({ ...run(2), lastExit: { at: 0, code: 1, signal: null, tail: [] } })
  await clock.advance(200)
  t.match(monitor.report(), { health: 'unhealthy', reason: 'SIDECAR_NOT_READY' })
  envoy(true)
  await clock.advance(1000)
  t.match(monitor.report(), { health: 'healthy' })
  stop.abort()
})

t.test('an Envoy that stops serving while it runs is found', async (t) => {
  const { monitor, set, clock, stop, envoy, asked } = world()
  set(run(1))
  monitor.converged(bundle)
  await clock.advance(0)
  const before = asked()
  await clock.advance(5000)
  t.ok(asked() - before <= 2, 'a ready one is asked rarely')
  envoy(false)
  await clock.advance(5000)
  t.match(monitor.report(), { health: 'unhealthy', reason: 'SIDECAR_NOT_READY' })
  stop.abort()
})

t.test('the application and the capture count', async (t) => {
  const { monitor, set, clock, stop, application } = world()
  set(run(1))
  monitor.converged(bundle)
  await clock.advance(0)
  application(false)
  await clock.advance(1000)
  t.match(monitor.report(), { health: 'unhealthy', reason: 'APPLICATION_UNHEALTHY' })
  application(true)
  await clock.advance(1000)
  t.match(monitor.report(), { health: 'healthy' })
  monitor.broken('capture')
  t.match(monitor.report(), { health: 'unhealthy', reason: 'CaptureMissing' })
  monitor.converged(bundle)
  t.match(monitor.report(), { health: 'healthy' }, 'the probe goes on with what it knows')
  stop.abort()
})
