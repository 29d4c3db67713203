import { readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { SidecarSpec, SidecarState } from '../../../../agent/sidecar/supervisor.ts'
import { createSystemdSupervisor } from '../../../../agent/sidecar/systemd.ts'
import type { SystemdUnit, UnitExit } from '../../../../agent/sidecar/systemd-unit.ts'
import { MooringError } from '../../../../shared/errors.ts'
import { silentLog as log } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../fakes/clock.ts'

const { signal } = new AbortController()
const spec = (hash: string): SidecarSpec => ({
  command: `/versions/${hash}/pilot-agent`,
  args: ['proxy', 'sidecar'],
  env: { POD_NAME: 'vm' },
  cwd: '/',
  uid: 1337,
  gid: 1337,
  hash,
})

/** Stands in for systemd: a unit that runs when it is told to, and what it was started from. */
function world(t: Test) {
  const base = t.testdir()
  const paths = { program: join(base, 'unit', 'program'), environment: join(base, 'unit', 'environment') }
  const clock = createFakeClock()
  const calls: string[] = []
  const living = new Set<number>()
  let pid = 0
  let state = 'inactive'
  let refuses = false
  const unit: SystemdUnit = {
    status: async () => ({
      activeState: state,
      mainPid: living.has(pid) ? pid : 0,
      lastPid: pid,
      startedAfterBootMs: 4_000,
      invocation: `run-${pid}`,
    }),
    async start() {
      calls.push('start')
      if (refuses) throw new MooringError('SIDECAR_EXITED', { detail: 'refused' })
      spawn()
    },
    async stop(graceMs) {
      calls.push(`stop ${graceMs}`)
      living.clear()
      state = 'inactive'
    },
    exitOf: async (run): Promise<UnitExit> => ({ code: null, signal: 'SIGKILL', tail: [`words of ${run}`] }),
  }
  function spawn() {
    pid += 1
    living.add(pid)
    state = 'active'
  }
  const create = () => {
    const supervisor = createSystemdSupervisor({
      ...{ unit, paths, clock, log, random: () => 0 },
      processes: {
        find: async (one) => (living.has(one) ? { pid: one, group: one, startTime: one } : undefined),
        async gone({ pid: one }, clock, until) {
          while (living.has(one)) await clock.sleep(200, until)
        },
        group: async () => [],
        runningFrom: async () => [],
        program: async () => undefined,
        bootId: async () => 'boot',
      },
      endOthers: async () => {
        calls.push('others')
      },
      uptimeMs: async () => 5_000,
    })
    const states: SidecarState[] = []
    supervisor.onChange((one) => states.push(one))
    return { supervisor, states }
  }
  return {
    ...{ paths, clock, calls, create },
    /** The main process dies; `next`: what systemd does about it. */
    die(next: 'restarts' | 'gives-up') {
      living.clear()
      if (next === 'restarts') spawn()
      else state = 'failed'
    },
    refuse(value: boolean) {
      refuses = value
    },
    /** Lets the fake time run until something is so. */
    async until(condition: () => boolean) {
      // What is written to disk takes real time, whatever the clock of the supervisor says.
      const limit = Date.now() + 60_000
      while (!condition() && Date.now() < limit) {
        await clock.advance(50)
        await new Promise((resolve) => setImmediate(resolve))
      }
      t.ok(condition(), 'it came to that')
    },
  }
}

t.test('the unit starts from what was written for it, once', async (t) => {
  const { paths, calls, create, clock } = world(t)
  const { supervisor } = create()
  await supervisor.ensure(spec('aa'), signal)
  await supervisor.ensure(spec('aa'), signal)
  t.equal(calls.filter((call) => call === 'start').length, 1)
  t.equal(await readlink(paths.program), '/versions/aa/pilot-agent')
  t.match(await readFile(paths.environment, 'utf8'), /^# specification aa\nPOD_NAME="vm"$/m)
  t.equal((await stat(paths.environment)).mode & 0o777, 0o600)
  t.same(supervisor.state(), {
    running: true,
    pid: 1,
    hash: 'aa',
    program: '/versions/aa/pilot-agent',
    startedAt: clock.now() - 1_000,
    restarts: 0,
    downForGood: false,
  })
  await supervisor.stop(5000, signal)
  t.match(supervisor.state(), { running: false, restarts: 0 })
  t.match(calls, ['others', 'start', 'stop 5000', 'others'], 'and what another kind of agent left is ended')
})

t.test('the next agent adopts what runs, and replaces it for another specification alone', async (t) => {
  const { paths, calls, create } = world(t)
  await create().supervisor.ensure(spec('aa'), signal)
  const { supervisor } = create()
  calls.length = 0
  await supervisor.ensure(spec('aa'), signal)
  t.match(supervisor.state(), { running: true, pid: 1, restarts: 0 })
  t.same(calls, [])
  await supervisor.ensure(spec('bb'), signal)
  t.match(supervisor.state(), { running: true, pid: 2 })
  t.match(calls, ['stop 5000', 'others', 'start'], 'what it starts from changes while it is down')
  t.equal(await readlink(paths.program), '/versions/bb/pilot-agent')
})

t.test('the next agent may keep one with another specification, until it does not any more', async (t) => {
  const { calls, create } = world(t)
  await create().supervisor.ensure(spec('aa'), signal)
  const { supervisor } = create()
  calls.length = 0
  await supervisor.ensure(spec('bb'), signal, { keepOther: true })
  t.match(supervisor.state(), { running: true, pid: 1, hash: 'aa', program: '/versions/aa/pilot-agent' })
  t.same(calls, [])
  await supervisor.ensure(spec('bb'), signal)
  t.match(supervisor.state(), { running: true, pid: 2, hash: 'bb', program: '/versions/bb/pilot-agent' })
})

t.test('what systemd started again is taken over, and its end is told with its last words', async (t) => {
  const { calls, create, die, until } = world(t)
  const { supervisor, states } = create()
  await supervisor.ensure(spec('aa'), signal)
  calls.length = 0
  die('restarts')
  await until(() => supervisor.state().restarts === 1)
  t.match(
    states.find((state) => !state.running),
    { lastExit: { code: null, signal: 'SIGKILL', tail: ['words of run-1'] } },
  )
  t.match(supervisor.state(), { running: true, pid: 2 })
  t.same(calls, [], 'nothing had to be done')
})

t.test('where systemd has given up, the agent goes on; hopeless is hopeless', async (t) => {
  const { create, die, refuse, until } = world(t)
  const { supervisor, states } = create()
  await supervisor.ensure(spec('aa'), signal)
  die('gives-up')
  await until(() => supervisor.state().pid === 2)
  refuse(true)
  die('gives-up')
  await until(() => supervisor.state().downForGood)
  t.match(states.at(-1)?.lastExit?.tail.join(), 'refused')
  refuse(false)
  await until(() => supervisor.state().running)
})

t.test('a unit that cannot be started is an error in words', async (t) => {
  const { create, refuse } = world(t)
  refuse(true)
  await t.rejects(create().supervisor.ensure(spec('aa'), signal), {
    code: 'SIDECAR_EXITED',
    detail: /refused/,
  })
})
