import t from 'tap'
import { createCaptureWatchdog, preventedMs } from '../../../../agent/capture/watchdog.ts'
import type { SidecarState } from '../../../../agent/sidecar/supervisor.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

function world(undo: () => Promise<void> = async () => {}) {
  const listeners = new Set<(state: SidecarState) => void>()
  let state: SidecarState = { running: true, restarts: 0, downForGood: false }
  let undone = 0
  const clock = createFakeClock()
  const watchdog = createCaptureWatchdog({
    supervisor: {
      state: () => state,
      onChange(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    undo: async () => {
      undone += 1
      await undo()
    },
    clock,
    log,
    random: () => 0.5,
  })
  const changes: boolean[] = []
  watchdog.onChange((opened) => changes.push(opened))
  const abort = new AbortController()
  const set = async (next: Partial<SidecarState>) => {
    state = { ...state, ...next }
    for (const listener of listeners) listener(state)
    await clock.advance(0)
  }
  return { watchdog, clock, set, changes, abort, listeners, undone: () => undone }
}

t.test('rules go when the sidecar is down for good, once', async (t) => {
  const { watchdog, set, changes, abort, undone, listeners } = world()
  watchdog.start(() => 'open', abort.signal)
  await set({ running: false })
  t.equal(undone(), 0, 'a crash is no reason')
  await set({ downForGood: true })
  await set({ lastExit: { at: 0, code: 1, signal: null, tail: [] } })
  t.equal(undone(), 1)
  t.ok(watchdog.opened)
  watchdog.closed()
  t.notOk(watchdog.opened)
  await set({ running: true })
  t.equal(undone(), 1)
  await set({ running: false })
  t.equal(undone(), 2, 'it fell again before it was stable')
  t.same(changes, [true, false, true])
  abort.abort()
  t.equal(listeners.size, 0)
})

t.test('a pool that prefers no traffic to traffic past the sidecar keeps the rules', async (t) => {
  const { watchdog, set, abort, undone } = world()
  watchdog.start(() => 'closed', abort.signal)
  await set({ running: false, downForGood: true })
  t.equal(undone(), 0)
  t.notOk(watchdog.opened)
})

t.test(
  'a sidecar that cannot be started, because its port is taken, counts as down after the grace',
  async (t) => {
    const { watchdog, set, clock, changes, abort, undone } = world()
    watchdog.start(() => 'open', abort.signal)
    // Envoy died, another program was faster, and the sidecar was stopped for it.
    await set({ running: false })
    watchdog.prevented()
    await clock.advance(preventedMs - 1)
    watchdog.prevented()
    t.equal(undone(), 0, 'it may be free again in a moment')
    await clock.advance(1)
    watchdog.prevented()
    await clock.advance(0)
    t.equal(undone(), 1)
    t.ok(watchdog.opened)
    await set({ running: true })
    watchdog.closed()
    await set({ running: false })
    watchdog.prevented()
    await clock.advance(0)
    t.equal(undone(), 1, 'the next time has a grace of its own')
    t.same(changes, [true, false])
  },
)

t.test('a taken port opens nothing in a pool that prefers no traffic', async (t) => {
  const { watchdog, clock, abort, undone } = world()
  watchdog.start(() => 'closed', abort.signal)
  watchdog.prevented()
  await clock.advance(preventedMs * 2)
  watchdog.prevented()
  await clock.advance(0)
  t.equal(undone(), 0)
})

t.test('removal is tried again until it works, or is not needed any more', async (t) => {
  let fail = true
  const { watchdog, set, abort, clock, undone } = world(async () => {
    if (fail) throw new Error('iptables is busy')
  })
  watchdog.start(() => 'open', abort.signal)
  await set({ running: false, downForGood: true })
  t.equal(undone(), 1)
  await clock.advance(5000)
  t.ok(undone() > 1)
  t.notOk(watchdog.opened)
  fail = false
  await clock.advance(5000)
  t.ok(watchdog.opened)

  const second = world(async () => {
    throw new Error('iptables is busy')
  })
  second.watchdog.start(() => 'open', second.abort.signal)
  await second.set({ running: false, downForGood: true })
  await second.set({ running: true })
  const tries = second.undone()
  await second.clock.advance(60_000)
  t.equal(second.undone(), tries)
})

t.test('a sidecar that is down already when the watch begins counts too', async (t) => {
  const { watchdog, set, abort, clock } = world()
  await set({ running: false, downForGood: true })
  watchdog.start(() => 'open', abort.signal)
  await clock.advance(0)
  t.ok(watchdog.opened)
})
