import t from 'tap'
import { createReadyStep } from '../../../../agent/steps/ready.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { createFakeClock } from '../../../fakes/clock.ts'
import { someBundle } from '../bundle.ts'

function world(readyAfterMs: number, takenAfterMs = Number.POSITIVE_INFINITY) {
  const clock = createFakeClock()
  const start = clock.now()
  let asked = 0
  const stops: number[] = []
  let prepared = 0
  const step = createReadyStep({
    clock,
    random: () => 0.5,
    ports: {
      async mustBeFree() {
        if (clock.now() - start >= takenAfterMs) throw new MooringError('PORT_IN_USE', { detail: '15006' })
      },
    },
    stop: async () => {
      stops.push(clock.now() - start)
    },
    // What is done meanwhile must not keep it, and may fail.
    meanwhile: async () => {
      prepared += 1
      throw new MooringError('CAPTURE_FAILED')
    },
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
  return { step, clock, stops, asked: () => asked, prepared: () => prepared }
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
  const { step, clock, stops, asked } = world(Number.POSITIVE_INFINITY)
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
  t.same(stops, [], 'it may yet get ready')
})

t.test('somebody else has a port: the sidecar, which asks for it once, is stopped', async (t) => {
  const { step, clock, stops } = world(Number.POSITIVE_INFINITY, 500)
  const applying = t.rejects(step.apply(someBundle(), signal), { code: 'PORT_IN_USE', detail: '15006' })
  await clock.untilSleeping()
  await clock.advance(2_000)
  await applying
  t.equal(stops.length, 1)
  t.ok((stops[0] ?? 0) < 2_000, 'long before it would give up')
})

t.test('it ends when it is aborted', async (t) => {
  const { step, clock } = world(Number.POSITIVE_INFINITY)
  const stop = new AbortController()
  const applying = step.apply(someBundle(), stop.signal)
  await clock.untilSleeping()
  stop.abort(new Error('stopped'))
  await t.rejects(applying, { message: 'stopped' })
})

t.test('what can be done while Envoy starts is begun once, and its failure is seen by others', async (t) => {
  const { step, clock, prepared } = world(190)
  const applied = step.apply(someBundle(), signal)
  t.equal(prepared(), 1, 'at once')
  await clock.untilSleeping()
  await clock.advance(1000)
  await applied
  t.equal(prepared(), 1)
})
