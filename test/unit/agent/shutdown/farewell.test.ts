import t from 'tap'
import type { DownMessage } from '../../../../agent/client/stream.ts'
import { createFarewell } from '../../../../agent/shutdown/farewell.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const welcome: DownMessage = {
  ...{ kind: 'welcome', wire: 1, epoch: 1, heartbeatMs: 2_000, lostAfterMs: 5_000 },
  ...{ bundleRevision: 'r1', now: 0 },
}

function scene() {
  const clock = createFakeClock()
  const said: string[] = []
  const listeners = new Set<(message: DownMessage) => void>()
  const run = Promise.withResolvers<'aborted' | 'revoked'>()
  let unknown = () => {}
  const farewell = createFarewell({
    openStream(forgotten) {
      unknown = forgotten
      return {
        run(signal) {
          signal.addEventListener('abort', () => run.resolve('aborted'), { once: true })
          return run.promise
        },
        send({ kind }) {
          said.push(kind)
          return true
        },
        onMessage(listener) {
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
      }
    },
    clock,
    log: silentLog,
  })
  const stop = new AbortController()
  const hear = (message: DownMessage) => {
    for (const listener of listeners) listener(message)
  }
  return {
    ...{ clock, said, stop, hear, run, listeners },
    unknown: () => unknown(),
    start: (patient: boolean) => farewell.run({ patient, signal: stop.signal }),
  }
}

t.test('it waits for a controller for as long as it takes, says it once, and is confirmed', async (t) => {
  for (const patient of [true, false]) {
    const { clock, said, hear, start, listeners } = scene()
    const ended = start(patient)
    await clock.advance(24 * 3_600_000)
    t.same(said, [], 'nobody is there')
    hear(welcome)
    await clock.advance(100)
    hear({
      kind: 'drain',
      reason: 'operator',
      after: 'leave',
      deadlineMs: 1,
      quietMs: 1,
      lastEndpoint: false,
    })
    hear({ kind: 'bye', revoked: false })
    t.equal(await ended, 'told')
    t.same(said, ['left'])
    t.equal(clock.sleepers, 0)
    t.equal(listeners.size, 0)
  }
})

t.test('each new connection is told at once', async (t) => {
  const { clock, said, hear, start } = scene()
  const ended = start(false)
  hear(welcome)
  await clock.advance(100)
  hear(welcome)
  t.same(said, ['left', 'left'])
  hear({ kind: 'bye', revoked: false })
  t.equal(await ended, 'told')
})

t.test('a controller that does not answer is given up, unless nothing else is waiting', async (t) => {
  const hasty = scene()
  const ended = hasty.start(false)
  hasty.hear(welcome)
  await hasty.clock.advance(60_000)
  t.equal(await ended, 'unheard')
  t.equal(hasty.said.length, 4)

  const patient = scene()
  const told = patient.start(true)
  patient.hear(welcome)
  await patient.clock.advance(600_000)
  t.ok(patient.said.length > 100)
  patient.hear({ kind: 'bye', revoked: false })
  t.equal(await told, 'told')
})

t.test('a controller that knows nothing of it needs no farewell', async (t) => {
  const { unknown, start, said } = scene()
  const ended = start(true)
  unknown()
  t.equal(await ended, 'told')
  t.same(said, [])
})

t.test('a revoked key, by word or by the end of the stream; a stop; a stream that breaks', async (t) => {
  const byWord = scene()
  const first = byWord.start(true)
  byWord.hear({ kind: 'bye', revoked: true })
  t.equal(await first, 'revoked')
  const byEnd = scene()
  byEnd.run.resolve('revoked')
  t.equal(await byEnd.start(true), 'revoked')
  const stopped = scene()
  const third = stopped.start(true)
  stopped.hear(welcome)
  stopped.stop.abort()
  t.equal(await third, 'aborted')
  t.equal(stopped.clock.sleepers, 0)
  const broken = scene()
  broken.run.reject(new MooringError('INTERNAL'))
  t.equal(await broken.start(false), 'unheard')
})
