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
