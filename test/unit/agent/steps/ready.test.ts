import t from 'tap'
import { createReadyStep } from '../../../../agent/steps/ready.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

function world(readyAfterMs: number) {
  const clock = createFakeClock()
  const start = clock.now()
  let asked = 0
  const step = createReadyStep({
    clock,
    random: () => 0.5,
    envoy: {
      readiness: async () => {
        asked += 1
        return clock.now() - start >= readyAfterMs
          ? { ready: true, detail: '' }
          : { ready: false, detail: 'not yet' }
      },
      inbound: async () => ({ activeRequests: 0, activeConnections: 0, arrived: 0 }),
      drain: async () => {},
    },
  })
  return { step, clock, elapsed: () => clock.now() - start, asked: () => asked }
}
const { signal } = new AbortController()

t.test('it comes back within 50 ms of being ready', async (t) => {
  const { step, clock } = world(190)
  let done = -1
  const start = clock.now()
  const applying = step.apply(someBundle(), signal).then(() => {
    done = clock.now() - start
  })
  await clock.untilSleeping()
  await clock.advance(1000)
  await applying
  t.ok(done >= 190 && done <= 240, `${done} ms`)
  t.ok(await step.check(someBundle(), signal))
})

t.test('it gives up and says why, having asked less and less often', async (t) => {
  const { step, clock, asked } = world(Number.POSITIVE_INFINITY)
  const applying = t.rejects(step.apply(someBundle(), signal), {
    code: 'SIDECAR_NOT_READY',
    detail: 'not yet',
  })
  await clock.untilSleeping()
  await clock.advance(2000)
  const early = asked()
  await clock.advance(9000)
  await applying
  t.ok(asked() - early < early / 2, `${early} then ${asked() - early}`)
  t.notOk(await step.check(someBundle(), signal))
})

t.test('it ends when it is aborted', async (t) => {
  const { step, clock } = world(Number.POSITIVE_INFINITY)
  const stop = new AbortController()
  const applying = step.apply(someBundle(), stop.signal)
  await clock.untilSleeping()
  stop.abort(new Error('stopped'))
  await t.rejects(applying, { message: 'stopped' })
})
