import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createLogFile } from '../../../../agent/sidecar/log-file.ts'
import { createPidFile } from '../../../../agent/sidecar/pid-file.ts'
import { createProcessSupervisor } from '../../../../agent/sidecar/process.ts'
import { createProcessGroups } from '../../../../agent/sidecar/process-group.ts'
import { createProcessTable } from '../../../../agent/sidecar/process-table.ts'
import type { SidecarSpec, SidecarState } from '../../../../agent/sidecar/supervisor.ts'
import { systemClock as clock } from '../../../../shared/clock.ts'
import { silentLog as log } from '../../../../shared/log.ts'

const uid = process.getuid?.() ?? 0
const gid = process.getgid?.() ?? 0
const { signal } = new AbortController()

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('the condition was not met in time')
    await sleep(5)
  }
}

/** A supervisor of small scripts, as they lie in a folder of their own. */
function world(t: Test) {
  const base = t.testdir()
  const versions = join(base, 'versions')
  const logFile = createLogFile({ path: join(base, 'sidecar.log') })
  const pidPath = join(base, 'process.json')
  const processes = createProcessTable('/proc')
  const create = () => {
    const groups = createProcessGroups({
      clock,
      log,
      processes,
      pidFile: createPidFile(pidPath),
      logFile,
      versions,
    })
    const supervisor = createProcessSupervisor({ clock, log, groups, logFile, random: () => 0 })
    const states: SidecarState[] = []
    supervisor.onChange((state) => states.push(state))
    return { supervisor, states }
  }
  const spec = async (script: string, hash = 'one'): Promise<SidecarSpec> => {
    const command = join(versions, 'v', 'pilot-agent')
    await mkdir(join(versions, 'v'), { recursive: true })
    await rm(command, { force: true })
    await writeFile(command, `#!/bin/sh\n${script}\n`)
    await chmod(command, 0o755)
    return { command, args: [], env: { ONLY: 'this' }, cwd: base, uid, gid, hash }
  }
  t.teardown(async () => {
    const record = await createPidFile(pidPath).read()
    if (record === undefined) return
    for (const entry of await processes.group(record.pid, uid)) process.kill(entry.pid, 'SIGKILL')
  })
  return { base, spec, create, processes, pidPath, logFile }
}

t.test('it runs in a group of its own, with the given environment, once', async (t) => {
  const { base, spec, create, processes } = world(t)
  const { supervisor, states } = create()
  const one = await spec(`env > ${base}/env; exec sleep 60`)
  await supervisor.ensure(one, signal)
  const { pid = 0 } = supervisor.state()
  await until(() => existsSync(join(base, 'env')))
  await until(async () => (await readFile(join(base, 'env'), 'utf8')).includes('PWD'))
  const environment = await readFile(join(base, 'env'), 'utf8')
  t.match(environment, /^ONLY=this$/m)
  t.notMatch(environment, /^(PATH|HOME|USER)=/m, 'nothing is inherited')
  t.equal((await processes.find(pid))?.group, pid)
  await supervisor.ensure(one, signal)
  t.equal(supervisor.state().pid, pid)
  await supervisor.stop(2000, signal)
  t.equal(await processes.find(pid), undefined)
  t.same(
    states.map((state) => state.running),
    [true, false],
  )
  t.match(supervisor.state(), { running: false, restarts: 0, downForGood: false })
  await supervisor.stop(2000, signal)
})

t.test('what SIGTERM does not end, SIGKILL does, with everything in its group', async (t) => {
  const { base, spec, create, processes } = world(t)
  const { supervisor } = create()
  await supervisor.ensure(
    await spec(`trap '' TERM; sleep 61 & touch ${base}/up; while :; do sleep 1; done`),
    signal,
  )
  await until(() => existsSync(join(base, 'up')))
  const { pid = 0 } = supervisor.state()
  await supervisor.stop(50, signal)
  t.same(await processes.group(pid, uid), [])
})

t.test('a crash is told with its last words and mended; what it left is ended first', async (t) => {
  const { base, spec, create, processes } = world(t)
  const { supervisor, states } = create()
  // The first run leaves a child behind that holds what the second run needs.
  const script = `if [ -e ${base}/crashed ]; then exec sleep 60; fi
touch ${base}/crashed; sleep 62 & echo $! > ${base}/orphan; echo last words >&2; exit 7`
  await supervisor.ensure(await spec(script), signal).catch(() => {})
  await until(() => supervisor.state().restarts === 1 && supervisor.state().running)
  const crash = states.find((state) => !state.running)
  t.match(crash, {
    running: false,
    downForGood: false,
    lastExit: { code: 7, signal: null, tail: ['last words'] },
  })
  const orphan = Number(await readFile(join(base, 'orphan'), 'utf8'))
  t.equal(await processes.find(orphan), undefined)
  await supervisor.stop(2000, signal)
})

t.test('one that never starts is down for good at last, and starts when it can', async (t) => {
  const { base, spec, create } = world(t)
  const { supervisor, states } = create()
  const one = await spec('echo no >&2; exit 1')
  const hopeless = until(() => supervisor.state().downForGood)
  await supervisor.ensure(one, signal).catch((error) => t.match(error, { code: 'SIDECAR_EXITED' }))
  await hopeless
  t.ok(states.filter((state) => !state.running).length >= 8)
  await until(() => !supervisor.state().running)
  await rm(one.command)
  await until(() => /ENOENT/.test(supervisor.state().lastExit?.tail.join() ?? ''))
  await t.rejects(supervisor.ensure(one, signal), { code: 'SIDECAR_EXITED', detail: /ENOENT/ })
  await spec(`exec sleep 63; ${base}`)
  await until(() => supervisor.state().running)
  t.equal(supervisor.state().downForGood, true, 'not before it has lasted')
  await supervisor.stop(2000, signal)
  t.equal(supervisor.state().downForGood, false)
})

t.test('the next agent adopts what runs, and another specification replaces it', async (t) => {
  const { base, spec, create, processes, pidPath } = world(t)
  const first = create()
  // A group that no parent of this test reaps: its leader is a child of init.
  const one = await spec(`exec sleep 64; ${base}`)
  await first.supervisor.ensure(one, signal)
  const { pid = 0, startedAt } = first.supervisor.state()
  const second = create()
  await second.supervisor.ensure(one, signal)
  t.match(second.supervisor.state(), { running: true, pid, startedAt, restarts: 0 })

  process.kill(pid, 'SIGKILL')
  await until(() => second.states.some((state) => !state.running && state.lastExit?.code === null))
  await until(() => second.supervisor.state().running && second.supervisor.state().pid !== pid)
  await first.supervisor.stop(0, signal)

  const third = create()
  const before = second.supervisor.state().pid ?? 0
  await third.supervisor.ensure({ ...one, hash: 'two' }, signal)
  t.not(third.supervisor.state().pid, before)
  await second.supervisor.stop(0, signal)
  await third.supervisor.stop(2000, signal)
  t.equal(await processes.find(before), undefined)
  t.ok(existsSync(pidPath))
})

t.test('the next agent may keep one with another specification; what it wants follows its end', async (t) => {
  const { base, spec, create } = world(t)
  const one = await spec(`exec sleep 68; ${base}`)
  const first = create()
  await first.supervisor.ensure(one, signal)
  const { pid = 0 } = first.supervisor.state()
  const second = create()
  const two = { ...one, hash: 'two' }
  await second.supervisor.ensure(two, signal, { keepOther: true })
  t.match(second.supervisor.state(), { running: true, pid, hash: 'one', program: one.command })
  await second.supervisor.ensure(two, signal, { keepOther: true })
  t.equal(second.supervisor.state().pid, pid, 'as often as it is said')
  process.kill(pid, 'SIGKILL')
  await until(() => second.supervisor.state().hash === 'two' && second.supervisor.state().running)
  t.not(second.supervisor.state().pid, pid)
  await first.supervisor.stop(0, signal)
  await second.supervisor.stop(0, signal)
})

t.test('a change of the specification stops the old one first', async (t) => {
  const { base, spec, create, processes } = world(t)
  const { supervisor } = create()
  const one = await spec(`exec sleep 65; ${base}`)
  await supervisor.ensure(one, signal)
  const { pid = 0 } = supervisor.state()
  await supervisor.ensure({ ...one, hash: 'two' }, signal)
  t.equal(await processes.find(pid), undefined)
  t.match(supervisor.state(), { running: true, restarts: 0 })
  await supervisor.stop(2000, signal)
})

t.test('a sidecar that cannot be written down runs all the same, once', async (t) => {
  const { base, spec, create, processes, pidPath } = world(t)
  await mkdir(pidPath)
  const first = create()
  const one = await spec(`sleep 67; ${base}`)
  await first.supervisor.ensure(one, signal)
  const { pid = 0 } = first.supervisor.state()
  t.ok(await processes.find(pid))
  await first.supervisor.stop(0, signal)
  t.same(await processes.group(pid, uid), [])
  await rm(pidPath, { recursive: true })
})

t.test('an aborted call changes nothing', async (t) => {
  const { spec, create } = world(t)
  const { supervisor } = create()
  const gone = AbortSignal.abort(new Error('stopped'))
  await t.rejects(supervisor.ensure(await spec('exec sleep 66'), gone), { message: 'stopped' })
  t.equal(supervisor.state().running, false)
})
