import { EventEmitter } from 'node:events'
import t from 'tap'
import { watchSignals } from '../../../../agent/shutdown/signals.ts'

t.test('the first signal asks to stop, the second to hurry', async (t) => {
  const source = new EventEmitter()
  const { stop, hurry, close } = watchSignals(source)
  t.equal(stop.aborted, false)
  source.emit('SIGTERM')
  t.equal(stop.aborted, true)
  t.equal(hurry.aborted, false)
  source.emit('SIGINT')
  t.equal(hurry.aborted, true)
  source.emit('SIGTERM')
  close()
  t.equal(source.listenerCount('SIGTERM') + source.listenerCount('SIGINT'), 0)
})

t.test('the first signal may mean that another agent follows', async (t) => {
  for (const [meant, isAside] of [
    [async () => 'aside' as const, true],
    [async () => 'leave' as const, false],
    [() => Promise.reject(new Error('nobody answers')), false],
  ] as const) {
    const source = new EventEmitter()
    const { stop, aside, hurry, close } = watchSignals(source, meant)
    source.emit('SIGTERM')
    await new Promise((resolve) => setImmediate(resolve))
    t.same([aside.aborted, stop.aborted, hurry.aborted], [isAside, !isAside, false])
    source.emit('SIGTERM')
    t.equal(hurry.aborted, true)
    close()
  }
})
