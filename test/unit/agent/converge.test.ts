import t from 'tap'
import { type Converge, createConverge, type Task } from '../../../agent/converge.ts'
import { createStatusBoard } from '../../../agent/status.ts'
import { MooringError } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { createFakeClock, type FakeClock } from '../../fakes/clock.ts'

interface Scene {
  readonly converge: Converge
  readonly clock: FakeClock
  readonly calls: string[]
  readonly broken: string[]
  /** Steps whose failures an operator reads of without asking for more. */
  readonly warned: string[]
  readonly conditions: () => Record<string, string>
  readonly passes: () => number
  readonly stop: () => void
  readonly ended: Promise<unknown>
}

/** Tasks that are done once applied, unless `faults` says otherwise. */
function scene(faults: Record<string, () => Error | undefined> = {}): Scene {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  const calls: string[] = []
  const broken: string[] = []
  const warned: string[] = []
  const done = new Set<string>()
  let passes = 0
  const task = (name: string, condition: Task['condition'], extra: Partial<Task> = {}): Task => ({
    name,
    condition,
    check: async () => done.has(name),
    async apply() {
      calls.push(name)
      const fault = faults[name]?.()
      if (fault !== undefined) throw fault
      done.add(name)
    },
    ...extra,
  })
  const undo = (name: string) => async () => {
    calls.push(`undo ${name}`)
    const fault = faults[`undo ${name}`]?.()
    if (fault !== undefined) throw fault
  }
  const tasks = [
    task('preflight', 'HostFit', { note: () => ({ reason: 'CLOCK_WRONG', message: 'late' }) }),
    task('sidecar', 'SidecarRunning', { undo: undo('sidecar') }),
    task('capture', 'TrafficCaptured', { undo: undo('capture') }),
  ]
  const converge = createConverge({
    tasks,
    board,
    clock,
    log: { ...silentLog, warn: (_, fields) => warned.push(String(fields?.step)) },
    converged: () => {
      passes += 1
    },
    broken: ({ name }) => broken.push(name),
    fatal: ({ code }) => code === 'KEY_REVOKED',
    random: () => 1,
  })
  const abort = new AbortController()
  const ended = converge.run(abort.signal).catch((error) => error)
  return {
    converge,
    clock,
    calls,
    broken,
    warned,
    conditions: () =>
      Object.fromEntries(board.conditions().map(({ type, status, reason }) => [type, `${status} ${reason}`])),
    passes: () => passes,
    stop: () => abort.abort(),
    ended,
  }
}

t.test('what is not done is applied in order, once, and looked at again', async (t) => {
  const { clock, calls, conditions, passes, stop, ended } = scene()
  await clock.untilSleeping()
  t.same(calls, ['preflight', 'sidecar', 'capture'])
  t.same(conditions(), {
    HostFit: 'True CLOCK_WRONG',
    SidecarRunning: 'True Done',
    TrafficCaptured: 'True Done',
  })
  t.equal(passes(), 1)
  await clock.advance(15_000)
  t.equal(passes(), 2)
  t.equal(calls.length, 3, 'nothing is applied twice')
  stop()
  t.match(await ended, { name: 'AbortError' })
})

t.test(
  'a failure is shown with its reason, tried again with back-off, and nothing after it is touched',
  async (t) => {
    let failures = 3
    const fault = () => (failures-- > 0 ? new MooringError('SIDECAR_EXITED', { detail: 'boom' }) : undefined)
    const { clock, calls, broken, conditions, passes, stop, ended } = scene({ sidecar: fault })
    await clock.untilSleeping()
    t.same(calls, ['preflight', 'sidecar'])
    t.match(conditions(), { SidecarRunning: 'False SIDECAR_EXITED' })
    t.equal(conditions().TrafficCaptured, undefined)
    t.same(broken, ['sidecar'])
    await clock.advance(200)
    t.equal(calls.length, 3)
    await clock.advance(200)
    t.equal(calls.length, 3, 'the second pause is longer')
    await clock.advance(200)
    t.equal(calls.length, 4)
    await clock.advance(800)
    t.same(calls.slice(4), ['sidecar', 'capture'])
    t.match(conditions(), { SidecarRunning: 'True Done', TrafficCaptured: 'True Done' })
    t.equal(passes(), 1)
    stop()
    await ended
  },
)

t.test('the first failures of each step are said, whatever failed before', async (t) => {
  let failures = 5
  const { clock, warned, stop, ended } = scene({
    sidecar: () => (failures-- > 0 ? new MooringError('SIDECAR_EXITED') : undefined),
    capture: () => new MooringError('CAPTURE_FAILED'),
  })
  for (let passes = 0; passes < 12; passes += 1) {
    await clock.untilSleeping()
    await clock.advance(120_000)
  }
  t.same(warned, [...Array(3).fill('sidecar'), ...Array(3).fill('capture')])
  stop()
  await ended
})

t.test('two failures that take turns are not said for ever', async (t) => {
  let turn = 0
  const { clock, warned, stop, ended } = scene({
    sidecar: () => new MooringError(turn++ % 2 === 0 ? 'SIDECAR_EXITED' : 'DISK_FULL'),
  })
  for (let passes = 0; passes < 12; passes += 1) {
    await clock.untilSleeping()
    await clock.advance(120_000)
  }
  t.ok(turn > 8)
  t.equal(warned.length, 6, 'three times each')
  stop()
  await ended
})

t.test('what could be kept only as it is, is false, and what follows goes on', async (t) => {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  const seen: string[] = []
  let isRefused = true
  const converge = createConverge({
    tasks: [
      {
        name: 'install',
        condition: 'SidecarInstalled',
        check: async () => false,
        apply: async () => {},
        note: () => (isRefused ? { status: 'False', reason: 'DISK_FULL', message: 'no room' } : undefined),
      },
      { name: 'files', condition: 'FilesWritten', check: async () => true, apply: async () => {} },
    ],
    ...{ board, clock, log: { ...silentLog, info: (text: string) => seen.push(text) } },
    converged: () => seen.push('converged'),
    broken: () => seen.push('broken'),
    fatal: () => false,
  })
  const stop = new AbortController()
  const ended = converge.run(stop.signal).catch(() => {})
  await clock.untilSleeping()
  t.match(board.conditions(), [
    { type: 'SidecarInstalled', status: 'False', reason: 'DISK_FULL', message: 'no room' },
    { type: 'FilesWritten', status: 'True' },
  ])
  t.same(seen, ['converged'], 'and nobody says that the step is done')
  isRefused = false
  await clock.advance(15_000)
  t.match(board.conditions()[0], { status: 'True', reason: 'Done' })
  t.same(seen, ['converged', 'step done', 'converged'])
  stop.abort()
  await ended
})

t.test('a task that says so is tried again soon, however often it failed', async (t) => {
  const clock = createFakeClock()
  const board = createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) })
  let tries = 0
  const converge = createConverge({
    tasks: [
      {
        name: 'sidecar',
        condition: 'SidecarRunning',
        retryWithinMs: 2_000,
        check: async () => false,
        async apply() {
          tries += 1
          throw new MooringError('PORT_IN_USE')
        },
      },
    ],
    ...{ board, clock, log: silentLog, random: () => 1 },
    converged() {},
    broken() {},
    fatal: () => false,
  })
  const stop = new AbortController()
  const ended = converge.run(stop.signal).catch(() => {})
  await clock.untilSleeping()
  await clock.advance(60_000)
  const before = tries
  await clock.advance(20_000)
  t.equal(tries - before, 10)
  stop.abort()
  await ended
})

t.test('a wake-up ends the pause, whether it comes in it or before it', async (t) => {
  const { converge, clock, passes, stop, ended } = scene()
  await clock.untilSleeping()
  converge.wake()
  await clock.advance(0)
  await clock.untilSleeping()
  t.equal(passes(), 2)
  stop()
  await ended
})

t.test('an error of no catalogue is one of this program', async (t) => {
  const { clock, conditions, stop, ended } = scene({ capture: () => new TypeError('x is undefined') })
  await clock.untilSleeping()
  t.match(conditions(), { TrafficCaptured: 'False INTERNAL' })
  stop()
  await ended
})

t.test('what is hopeless ends it', async (t) => {
  const { ended } = scene({ sidecar: () => new MooringError('KEY_REVOKED') })
  t.match(await ended, { code: 'KEY_REVOKED' })
})

t.test('it is taken back in the reverse order, and one failure keeps nothing else', async (t) => {
  const { converge, clock, calls, conditions, stop, ended } = scene({
    'undo capture': () => new MooringError('CAPTURE_FAILED'),
  })
  await clock.untilSleeping()
  stop()
  await ended
  await t.rejects(converge.undo(new AbortController().signal), { code: 'CAPTURE_FAILED' })
  t.same(calls.slice(3), ['undo capture', 'undo sidecar'])
  t.match(conditions(), { SidecarRunning: 'False Undone', TrafficCaptured: 'True Done' })
})

t.test('a task that says so is taken back after another', async (t) => {
  const undone: string[] = []
  const task = (name: string, undoneAfter?: string): Task => ({
    name,
    condition: 'FilesWritten',
    check: async () => true,
    apply: async () => {},
    undo: async () => {
      undone.push(name)
    },
    ...(undoneAfter !== undefined && { undoneAfter }),
  })
  const clock = createFakeClock()
  const converge = createConverge({
    tasks: [task('files'), task('sidecar'), task('ready'), task('capture', 'sidecar')],
    board: createStatusBoard({ clock, facts: () => ({ bundleRevision: '', sidecarRestarts: 0 }) }),
    ...{ clock, log: silentLog, converged() {}, broken() {}, fatal: () => false },
  })
  await converge.undo(new AbortController().signal)
  t.same(undone, ['ready', 'sidecar', 'capture', 'files'])
})
