import type { Clock } from '../../shared/clock.ts'
import { createAlarms } from './alarms.ts'
import { type Census, type Guard, nextGuard, suspectAfterMs } from './guard.ts'
import type { Listening } from './listening.ts'

/**
 * What this controller knows of a VM by hearing it.
 *
 * - `waiting`: not heard yet, and it still has time
 * - `alive`: heard in time
 * - `held`: silent for too long, but so are so many others that it is not believed
 * - `vanished`: silent for too long
 */
export type HearingState = 'waiting' | 'alive' | 'held' | 'vanished'

export interface Hearing {
  readonly state: HearingState
  /** Unix milliseconds; 0 when this controller never heard it. */
  readonly lastHeard: number
}

export interface Expectation {
  readonly heartbeatMs: number
  readonly lostAfterMs: number
  /** Longest time that the guard may hold. */
  readonly graceMs: number
  /** A VM not heard yet has until this time plus the reconnect window. */
  readonly since: number
  /** Whether its loss counts for the guard, and is held by it. */
  readonly guarded: boolean
  /** Last time it was known alive, if an earlier controller held its closing already. */
  readonly heldSince?: number
}

/** Judges by heartbeats which VMs are alive. Heartbeats touch memory alone. */
export interface Liveness {
  /** From now on the VM is expected to speak; repeats change the terms. */
  expect(vm: string, expectation: Expectation): void
  forget(vm: string): void
  /** Something came from the VM. */
  heard(vm: string): void
  hearing(vm: string): Hearing
  guard(): Guard
  /** What the guard would be shown now. */
  census(): Census
  /** From now on agents can reach this controller: the time to come back begins, and nobody was judged before. */
  open(): void
  close(): void
}

export interface LivenessDeps {
  readonly clock: Clock
  readonly listening: Listening
  /** How long VMs have to come back after a start of the controller, on top of `lostAfterMs`. */
  readonly reconnectWindowMs: number
  /** The state of this VM's hearing changed. */
  readonly changed: (vm: string, hearing: Hearing) => void
  readonly guardChanged: (guard: Guard, census: Census) => void
  /** Of the VMs that other replicas keep, as far as is known. @defaultValue there are none */
  readonly elsewhere?: (isExpected: (vm: string) => boolean) => Census
  /** The controller itself did not run for this long, so nobody is judged by that time. */
  readonly stalled: (ms: number) => void
}

interface Subject {
  expectation: Expectation | undefined
  state: HearingState
  lastHeard: number
  /** Until when its loss counts in a census. */
  lossCountsUntil: number
}

// A timer this late means that the process did not run (paused, starved): heartbeats wait unread in sockets.
const stallMs = 1_000
// Silence is counted anew after a standstill, but not for ever: on a machine that stands still again and again,
// a VM that is gone must not be kept for it.
const mostSilences = 3
// A timer this late is common on a busy machine; sockets get this time to be read before a VM is judged.
const latenessMs = 50
// How often the fleet is looked at while closing is held.
const guardPeriodMs = 500
const guardKey = '#guard'

/** Liveness of the VMs whose streams this controller holds. */
export function createLiveness(deps: LivenessDeps): Liveness {
  const { clock, listening, reconnectWindowMs, changed, guardChanged, stalled } = deps
  const subjects = new Map<string, Subject>()
  let startedAt = clock.now()
  const alarms = createAlarms({
    clock,
    ring: (key, lateMs) => {
      const isStall = lateMs > stallMs
      if (isStall) {
        listeningSince = clock.now()
        stalled(lateMs)
      }
      if (key === guardKey) watchGuard()
      // Timers come before sockets in the event loop: what was said in time may not be read yet.
      else if (lateMs > latenessMs && !isStall) alarms.set(key, clock.now() + latenessMs)
      else judge(key)
    },
  })
  let listeningSince = startedAt
  let guard: Guard = { holding: false }

  function subjectOf(vm: string): Subject {
    const known = subjects.get(vm)
    if (known !== undefined) return known
    const made: Subject = { expectation: undefined, state: 'waiting', lastHeard: 0, lossCountsUntil: 0 }
    subjects.set(vm, made)
    return made
  }

  /** The time from which its silence is counted. */
  function silentSince(subject: Subject, expectation: Expectation): number {
    if (subject.lastHeard > 0) return Math.max(subject.lastHeard, listeningSince)
    return Math.max(expectation.since, startedAt, listeningSince) + reconnectWindowMs
  }

  /** Milliseconds of its whole silence in which this process listened; below 0 while it has time to come back. */
  function listenedFor(subject: Subject, expectation: Expectation): number {
    if (subject.lastHeard > 0) return listening.since(subject.lastHeard)
    return listening.since(Math.max(expectation.since, startedAt)) - reconnectWindowMs
  }

  /** When it has been silent for too long, if it goes on. */
  function lostAt(subject: Subject, expectation: Expectation): number {
    const { lostAfterMs } = expectation
    const anew = silentSince(subject, expectation) + lostAfterMs
    const atMost = clock.now() + mostSilences * lostAfterMs - listenedFor(subject, expectation)
    return Math.min(anew, atMost)
  }

  function judge(vm: string): void {
    const subject = subjects.get(vm)
    const expectation = subject?.expectation
    if (subject === undefined || expectation === undefined || subject.state === 'vanished') return
    const now = clock.now()
    const at = lostAt(subject, expectation)
    // One that is held stays so: silence that is counted anew is no sign of life.
    if (now < at && subject.state !== 'held') {
      alarms.set(vm, at)
      return
    }
    if (expectation.guarded && mayHold(now)) {
      const { heldSince, lostAfterMs, graceMs } = expectation
      const silentMs =
        heldSince === undefined ? listenedFor(subject, expectation) : listening.since(heldSince)
      const leftMs = lostAfterMs + graceMs - silentMs
      if (leftMs > 0) {
        alarms.set(vm, now + leftMs)
        turn(vm, subject, 'held')
        return
      }
    }
    turn(vm, subject, 'vanished')
  }

  function turn(vm: string, subject: Subject, state: HearingState): void {
    if (subject.state === state) return
    subject.state = state
    const { expectation } = subject
    const counts = state === 'vanished' && expectation?.guarded === true
    subject.lossCountsUntil = counts ? clock.now() + expectation.lostAfterMs : 0
    changed(vm, { state, lastHeard: subject.lastHeard })
  }

  function mayHold(now: number): boolean {
    // While it holds, the periodic look decides; else each of ten thousand would count ten thousand.
    if (!guard.holding) look(now)
    return guard.holding
  }

  function look(now: number): void {
    const seen = count(now)
    const before = guard
    const whole = wholeOf(seen)
    guard = nextGuard(before, seen, now, reconnectWindowMs, whole)
    if (guard.holding) alarms.set(guardKey, now + guardPeriodMs)
    if (guard.holding !== before.holding) guardChanged(guard, seen)
  }

  function watchGuard(): void {
    look(clock.now())
    if (guard.holding) return
    // The rest is judged by what was seen now: another hold for the same VMs would have no end.
    for (const [vm, subject] of subjects) if (subject.state === 'held') turn(vm, subject, 'vanished')
  }

  function wholeOf({ total, silent }: Census): Census {
    const others = deps.elsewhere?.((vm) => subjects.get(vm)?.expectation !== undefined)
    return { total: total + (others?.total ?? 0), silent: silent + (others?.silent ?? 0) }
  }

  function count(now: number): Census {
    let total = 0
    let silent = 0
    for (const subject of subjects.values()) {
      const { expectation } = subject
      if (expectation === undefined) continue
      const justLost = now < subject.lossCountsUntil
      if (!justLost && (subject.state === 'vanished' || !expectation.guarded)) continue
      total += 1
      const silence = now - silentSince(subject, expectation)
      if (justLost || subject.state === 'held' || silence > suspectAfterMs(expectation)) silent += 1
    }
    return { total, silent }
  }

  return {
    expect(vm, expectation) {
      const subject = subjectOf(vm)
      subject.expectation = expectation
      if (subject.state === 'vanished' || subject.state === 'held') return
      const at = lostAt(subject, expectation)
      // Heartbeats do not move the alarm: it looks, when it rings, how much time is left.
      const set = alarms.at(vm)
      if (set === undefined || set > at) alarms.set(vm, at)
    },
    forget(vm) {
      subjects.delete(vm)
      alarms.clear(vm)
    },
    heard(vm) {
      const subject = subjectOf(vm)
      subject.lastHeard = clock.now()
      if (subject.state === 'alive') return
      const { expectation } = subject
      if (expectation !== undefined) alarms.set(vm, subject.lastHeard + expectation.lostAfterMs)
      turn(vm, subject, 'alive')
    },
    hearing(vm) {
      const subject = subjects.get(vm)
      return { state: subject?.state ?? 'waiting', lastHeard: subject?.lastHeard ?? 0 }
    },
    guard: () => guard,
    census: () => count(clock.now()),
    open() {
      startedAt = clock.now()
      listeningSince = startedAt
    },
    close: () => alarms.close(),
  }
}
