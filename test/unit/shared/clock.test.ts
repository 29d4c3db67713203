import t from 'tap'
import { systemClock } from '../../../shared/clock.ts'

t.test('the clock tells Unix milliseconds and sleeps', async (t) => {
  const before = systemClock.now()
  await systemClock.sleep(5)
  t.ok(systemClock.now() >= before)
  t.ok(before > Date.UTC(2020, 0, 1))
})

t.test('a sleep ends with its signal, at once when that was aborted before', async (t) => {
  const reason = new Error('enough')
  await t.rejects(systemClock.sleep(3_600_000, AbortSignal.abort(reason)), reason)
  const controller = new AbortController()
  const sleeping = systemClock.sleep(3_600_000, controller.signal)
  controller.abort(reason)
  await t.rejects(sleeping, reason)
})

t.test('a sleep that is over leaves no listener behind', async (t) => {
  const controller = new AbortController()
  const added: string[] = []
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    added.push('added')
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    added.pop()
    remove(...args)
  }
  await systemClock.sleep(1, signal)
  t.same(added, [])
})
