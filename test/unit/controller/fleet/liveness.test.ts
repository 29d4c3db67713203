import t from 'tap'
import type { Guard } from '../../../../controller/fleet/guard.ts'
import { createListening } from '../../../../controller/fleet/listening.ts'
import { createLiveness, type Expectation, type HearingState } from '../../../../controller/fleet/liveness.ts'
import { createFakeClock, type FakeClock } from '../../../fakes/clock.ts'

const windowMs = 15_000
const terms = { heartbeatMs: 2_000, lostAfterMs: 5_000, graceMs: 60_000, since: 0, guarded: true }

function listening(clock: FakeClock = createFakeClock()) {
  const events: string[] = []
  const guards: Guard[] = []
  const stalls: number[] = []
  const begin = clock.now()
  const liveness = createLiveness({
    clock,
    listening: { since: (time) => clock.now() - time, close() {} },
    reconnectWindowMs: windowMs,
    changed: (vm, { state }) => events.push(`${clock.now() - begin} ${vm} ${state}`),
    guardChanged: (guard) => guards.push(guard),
    stalled: (ms) => stalls.push(ms),
  })
  const names = (count: number) => Array.from({ length: count }, (_, i) => `vm-${i}`)
  const expectAll = (vms: readonly string[], more: Partial<Expectation> = {}) => {
    for (const vm of vms) liveness.expect(vm, { ...terms, ...more })
  }
  /** Lets these VMs speak every heartbeat for `ms`. */
  const speak = async (vms: readonly string[], ms: number) => {
    for (let passed = 0; passed < ms; passed += terms.heartbeatMs) {
      for (const vm of vms) liveness.heard(vm)
      await clock.advance(Math.min(terms.heartbeatMs, ms - passed))
    }
  }
  const states = (vms: readonly string[]) => {
    const counts: Partial<Record<HearingState, number>> = {}
    for (const vm of vms) {
      const { state } = liveness.hearing(vm)
      counts[state] = (counts[state] ?? 0) + 1
    }
    return counts
  }
  return { clock, liveness, events, guards, stalls, names, expectAll, speak, states }
}

t.test('a VM that falls silent has vanished after its time, not before', async (t) => {
  const { clock, liveness, expectAll, speak, events } = listening()
  expectAll(['a'])
  await speak(['a'], 10_000)
  t.equal(liveness.hearing('a').state, 'alive')
  const last = liveness.hearing('a').lastHeard
  await clock.advance(last + 4_999 - clock.now())
  t.equal(liveness.hearing('a').state, 'alive')
  await clock.advance(1)
  t.same(liveness.hearing('a'), { state: 'vanished', lastHeard: last })
  t.same(events, ['0 a alive', '13000 a vanished'])
})

t.test('one that speaks again is alive at once', async (t) => {
  const { clock, liveness, expectAll } = listening()
  expectAll(['a'])
  liveness.heard('a')
  await clock.advance(5_000)
  t.equal(liveness.hearing('a').state, 'vanished')
  liveness.heard('a')
  t.equal(liveness.hearing('a').state, 'alive')
  await clock.advance(5_000)
  t.equal(liveness.hearing('a').state, 'vanished', 'and is judged again')
})

t.test('after a start nobody is judged until the reconnect window is over', async (t) => {
  const { clock, liveness, expectAll, speak } = listening()
  expectAll(['back', 'gone'])
  await speak(['back'], windowMs + terms.lostAfterMs - 1)
  t.equal(liveness.hearing('gone').state, 'waiting')
  t.equal(liveness.hearing('back').state, 'alive')
  await clock.advance(1)
  t.equal(liveness.hearing('gone').state, 'vanished')
  t.same(liveness.hearing('gone').lastHeard, 0)
})

t.test('one that was admitted later has its own window', async (t) => {
  const { clock, liveness, expectAll } = listening()
  await clock.advance(100_000)
  expectAll(['new'], { since: clock.now() })
  await clock.advance(windowMs + terms.lostAfterMs - 1)
  t.equal(liveness.hearing('new').state, 'waiting')
  await clock.advance(1)
  t.equal(liveness.hearing('new').state, 'vanished')
})

t.test('one of many is judged in its time, whatever the phase of its heartbeats', async (t) => {
  const { liveness, names, expectAll, speak, guards } = listening()
  const all = names(20)
  expectAll(all)
  await speak(all, 4_000)
  await speak(all.slice(1), 6_000)
  t.equal(liveness.hearing('vm-0').state, 'vanished')
  t.same(guards, [])
})

t.test('when all vanish within a few hundred milliseconds nobody is closed', async (t) => {
  const { clock, liveness, names, expectAll, guards, states } = listening()
  const all = names(20)
  expectAll(all)
  // Heartbeats are spread over a period; each VM stops after its own last one.
  for (const vm of all) {
    liveness.heard(vm)
    await clock.advance(115)
  }
  await clock.advance(10_000)
  t.same(states(all), { held: 20 })
  t.equal(guards.length, 1)
  t.equal(guards[0]?.holding, true)
})

t.test('up to three of a fleet are never held, even if they are all of it', async (t) => {
  const { clock, liveness, names, expectAll, guards, states } = listening()
  const all = names(3)
  expectAll(all)
  for (const vm of all) liveness.heard(vm)
  await clock.advance(5_000)
  t.same(states(all), { vanished: 3 })
  t.same(guards, [])
})

t.test('held VMs that come back are alive; the rest has vanished after a calm window', async (t) => {
  const { names, expectAll, speak, guards, states } = listening()
  const all = names(10)
  expectAll(all)
  await speak(all, 2_000)
  await speak([], 6_000)
  t.same(states(all), { held: 10 })
  const back = all.slice(2)
  await speak(back, windowMs - 1_000)
  t.same(states(all), { alive: 8, held: 2 })
  await speak(back, 2_000)
  t.same(states(all), { alive: 8, vanished: 2 })
  t.same(
    guards.map((g) => g.holding),
    [true, false],
  )
})

t.test('closing is never held for longer than the grace period', async (t) => {
  const { clock, liveness, names, expectAll, speak, states } = listening()
  const all = names(10)
  expectAll(all)
  await speak(all, 2_000)
  const last = liveness.hearing('vm-0').lastHeard
  await clock.advance(last + terms.lostAfterMs + terms.graceMs - 1 - clock.now())
  t.same(states(all), { held: 10 })
  await clock.advance(1)
  t.same(states(all), { vanished: 10 })
  await clock.advance(terms.lostAfterMs + windowMs + 1_000)
  t.equal(liveness.guard().holding, false, 'and the guard lets go afterwards')
})

t.test('a restart of the controller does not lengthen a hold', async (t) => {
  const clock = createFakeClock()
  const heldSince = clock.now() - 50_000
  const { names, expectAll, states } = listening(clock)
  const all = names(10)
  expectAll(all, { heldSince })
  await clock.advance(windowMs + terms.lostAfterMs)
  t.same(states(all), { vanished: 10 }, 'the old hold was over before the window was')
})

t.test('joining and draining VMs neither make a mass loss nor are held', async (t) => {
  const { names, expectAll, speak, states, liveness, clock } = listening()
  const serving = names(10)
  const leaving = ['x-1', 'x-2', 'x-3', 'x-4', 'x-5']
  expectAll(serving)
  expectAll(leaving, { guarded: false })
  await speak([...serving, ...leaving], 2_000)
  await speak(serving.slice(1), 6_000)
  t.same(states(leaving), { vanished: 5 })
  t.equal(liveness.hearing('vm-0').state, 'vanished')
  await clock.advance(0)
  t.same(liveness.guard(), { holding: false })
})

t.test('losses shortly one after another add up', async (t) => {
  const { names, expectAll, speak, states, clock, liveness } = listening()
  const all = names(10)
  expectAll(all)
  await speak(all, 2_000)
  // Two are cut, then two more a second later, each pair small by itself.
  for (const vm of all) liveness.heard(vm)
  await clock.advance(1_000)
  for (const vm of all.slice(2)) liveness.heard(vm)
  await clock.advance(1_000)
  await speak(all.slice(4), 5_000)
  t.same(states(all.slice(0, 4)), { held: 4 }, 'at the first judgement the second pair was suspect already')
})

/** A liveness whose timer rings when the test says so, however late. */
function lateListening() {
  let now = 1_000_000
  const sleepers: (() => void)[] = []
  const stalls: number[] = []
  const clock = { now: () => now, sleep: () => new Promise<void>((resolve) => sleepers.push(resolve)) }
  const liveness = createLiveness({
    clock,
    listening: createListening({ clock }),
    reconnectWindowMs: windowMs,
    changed: () => {},
    guardChanged: () => {},
    stalled: (ms) => stalls.push(ms),
  })
  const wakeAfter = async (ms: number) => {
    now += ms
    for (const resolve of sleepers.splice(0)) resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { liveness, stalls, wakeAfter }
}

t.test('when the controller itself did not run, silence is counted anew', async (t) => {
  const { liveness, stalls, wakeAfter } = lateListening()
  liveness.heard('a')
  liveness.expect('a', terms)
  await wakeAfter(30_000)
  t.equal(liveness.hearing('a').state, 'alive', 'its heartbeats may wait unread')
  t.same(stalls, [25_000])
  await wakeAfter(5_000)
  t.equal(liveness.hearing('a').state, 'vanished')
})

t.test('when its timer is a little late, what waits in the sockets is read first', async (t) => {
  const { liveness, stalls, wakeAfter } = lateListening()
  for (const vm of ['a', 'b']) {
    liveness.heard(vm)
    liveness.expect(vm, terms)
  }
  await wakeAfter(5_300)
  t.equal(liveness.hearing('a').state, 'alive')
  liveness.heard('b')
  await wakeAfter(50)
  t.equal(liveness.hearing('a').state, 'vanished')
  t.equal(liveness.hearing('b').state, 'alive')
  t.same(stalls, [])
})

t.test('ten thousand VMs need one timer, and their heartbeats none', async (t) => {
  const { clock, liveness, names, expectAll, states } = listening()
  const all = names(10_000)
  expectAll(all)
  for (const vm of all) liveness.heard(vm)
  t.equal(clock.sleepers, 1)
  await clock.advance(3_000)
  for (const vm of all) liveness.heard(vm)
  await clock.advance(3_000)
  t.same(states(all), { alive: 10_000 })
  await clock.advance(5_000)
  t.same(states(all), { held: 10_000 })
  liveness.close()
  t.equal(clock.sleepers, 0)
})

t.test('a forgotten VM is not judged', async (t) => {
  const { clock, liveness, expectAll, events } = listening()
  expectAll(['a'])
  liveness.heard('a')
  liveness.forget('a')
  await clock.advance(60_000)
  t.same(events, ['0 a alive'])
  t.same(liveness.hearing('a'), { state: 'waiting', lastHeard: 0 })
})

t.test('a controller that stands still again and again gives up who is gone all the same', async (t) => {
  for (const count of [1, 10]) {
    const clock = createFakeClock()
    const changes: HearingState[] = []
    const liveness = createLiveness({
      clock,
      listening: createListening({ clock }),
      reconnectWindowMs: windowMs,
      changed: (vm, { state }) => vm === 'vm-0' && changes.push(state),
      guardChanged: () => {},
      stalled: () => {},
    })
    const all = Array.from({ length: count }, (_, i) => `vm-${i}`)
    for (const vm of all) {
      liveness.expect(vm, terms)
      liveness.heard(vm)
    }
    // It runs for more than half of the time, in pieces shorter than a VM may be silent.
    let ranMs = 0
    for (; ranMs < 3 * (terms.lostAfterMs + terms.graceMs) && !changes.includes('vanished'); ranMs += 4_500) {
      await clock.advance(4_500)
      clock.stall(3_000)
    }
    const expected = count === 1 ? ['alive', 'vanished'] : ['alive', 'held', 'vanished']
    t.same(changes, expected, `${count} VMs fell silent`)
    const limit = count === 1 ? 3 * terms.lostAfterMs : terms.lostAfterMs + terms.graceMs
    t.ok(ranMs <= limit + 4_500, `after ${ranMs} ms in which it ran`)
    liveness.close()
  }
})
