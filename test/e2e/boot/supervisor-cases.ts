/**
 * What both supervisors promise, tried with real processes. Run it as root on a machine that may be taken apart, where
 * systemd is what booted it: `node supervisor-cases.ts systemd|process`. It prints TAP.
 */
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { exec } from '../../../agent/host/exec.ts'
import { uptimeMs } from '../../../agent/host/facts.ts'
import { createLogFile } from '../../../agent/sidecar/log-file.ts'
import { sidecarPaths, sidecarUser } from '../../../agent/sidecar/paths.ts'
import { createPidFile } from '../../../agent/sidecar/pid-file.ts'
import { createProcessSupervisor } from '../../../agent/sidecar/process.ts'
import { createProcessGroups } from '../../../agent/sidecar/process-group.ts'
import { createProcessTable } from '../../../agent/sidecar/process-table.ts'
import type { SidecarSpec, SidecarState, Supervisor } from '../../../agent/sidecar/supervisor.ts'
import { supervisorKinds } from '../../../agent/sidecar/supervisor-choice.ts'
import { createSystemdSupervisor } from '../../../agent/sidecar/systemd.ts'
import { createSystemdUnit, sidecarUnit } from '../../../agent/sidecar/systemd-unit.ts'
import { systemClock as clock } from '../../../shared/clock.ts'
import { silentLog as log } from '../../../shared/log.ts'
import { waitFor } from '../../world/waiting.ts'

const kind = supervisorKinds.find((one) => one === process.argv[2])
if (kind === undefined) throw new Error(`which supervisor: ${supervisorKinds.join(' or ')}`)

const { signal } = new AbortController()
const processes = createProcessTable('/proc')
const paths = sidecarPaths({ state: '/var/lib/mooring', log: '/var/log/mooring' })
const seen = join(paths.run, 'seen')
const graceMs = 5_000

/** Stands in for pilot-agent: it writes down what it was given, and has an Envoy, or fails as it is told to. */
const program = `#!/bin/sh
[ "$1" = fails ] && { echo "the words of $1" >&2; exit 7; }
/usr/bin/env -0 > seen.part
/bin/sleep 3600 &
echo $! > envoy
/bin/mv seen.part seen
[ "$1" = stubborn ] && trap '' TERM && while :; do /bin/sleep 0.1; done
wait
`

const mine: Supervisor[] = []

/** A new agent's supervisor, and everything that it says. */
function create(): { supervisor: Supervisor; states: SidecarState[] } {
  const supervisor = kind === 'systemd' ? unitSupervisor() : processSupervisor()
  const states: SidecarState[] = []
  supervisor.onChange((state) => states.push(state))
  mine.push(supervisor)
  return { supervisor, states }
}

function groups() {
  const [pidFile, logFile] = [createPidFile(paths.pidFile), createLogFile({ path: paths.log })]
  return createProcessGroups({ clock, log, processes, pidFile, logFile, versions: paths.versions })
}

function processSupervisor(): Supervisor {
  return createProcessSupervisor({
    clock,
    log,
    groups: groups(),
    logFile: createLogFile({ path: paths.log }),
  })
}

function unitSupervisor(): Supervisor {
  return createSystemdSupervisor({
    unit: createSystemdUnit({ name: sidecarUnit, exec, clock }),
    endOthers: groups().endAll,
    ...{ uptimeMs, clock, log, processes, paths: paths.unit },
  })
}

interface Change {
  readonly version?: string
  readonly conduct?: 'runs' | 'fails' | 'stubborn'
  readonly env?: Readonly<Record<string, string>>
}

async function spec({ version = '1.0.0', conduct = 'runs', env = {} }: Change = {}): Promise<SidecarSpec> {
  const folder = join(paths.versions, `${version}-${'a'.repeat(12)}`, 'bin')
  const command = join(folder, 'pilot-agent')
  await mkdir(folder, { recursive: true })
  await mkdir(paths.run, { recursive: true })
  await chown(paths.run, sidecarUser.uid, sidecarUser.gid)
  if (!existsSync(command)) await writeFile(command, program)
  await chmod(command, 0o755)
  await rm(seen, { force: true })
  const hash = Buffer.from(JSON.stringify([version, conduct, env]))
    .toString('hex')
    .slice(0, 64)
  return { command, args: [conduct], env, cwd: paths.run, ...sidecarUser, hash }
}

const started = () => waitFor(() => existsSync(seen), { what: 'the program to run' })
const isAlive = async (pid: number) => (await processes.find(pid)) !== undefined
const envoyPid = async () => Number(await readFile(join(paths.run, 'envoy'), 'utf8'))

/** An agent of its own process, which starts the sidecar and is gone. */
async function earlierAgent(change: Change): Promise<SidecarState> {
  const args = [import.meta.filename, kind ?? '', JSON.stringify(change)]
  const { code, stdout, stderr } = await exec(process.execPath, args, { env: {}, timeoutMs: 60_000 })
  if (code !== 0) throw new Error(`the earlier agent: ${stderr}`)
  return JSON.parse(stdout) as SidecarState
}

const [, , , order] = process.argv
if (order !== undefined) {
  const { supervisor } = create()
  await supervisor.ensure(await spec(JSON.parse(order) as Change), signal)
  process.stdout.write(JSON.stringify(supervisor.state()), () => process.exit())
  await new Promise(() => {})
}

t.afterEach(async () => {
  for (const each of mine.splice(0)) await each.stop(0, signal)
})

t.test('it runs as the sidecar’s user, once', async (t) => {
  const { supervisor } = create()
  const one = await spec()
  await supervisor.ensure(one, signal)
  await started()
  const { pid = 0 } = supervisor.state()
  t.match(supervisor.state(), { running: true, restarts: 0, downForGood: false, hash: one.hash })
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  t.match(status, new RegExp(`^Uid:\\s+${sidecarUser.uid}\\s`, 'm'))
  t.match(status, new RegExp(`^Gid:\\s+${sidecarUser.gid}\\s`, 'm'))
  await supervisor.ensure(one, signal)
  t.equal(supervisor.state().pid, pid)
})

t.test('its environment is what it was given, to the letter', async (t) => {
  const given = {
    SPACES: '  two  and three   ',
    QUOTES: `"double" 'single' \`back\``,
    LINES: 'first\nsecond\n\nfourth',
    SIGNS: '%n %% $HOME $(id) $$ \\n \\\\ # ; & | < > * ? ~ !',
    JSON: JSON.stringify({ a: ['b "c"', 1], d: "e'f", g: '\\' }),
    UNICODE: 'ä → 漢字 🙂',
    EMPTY: '',
    TAB: 'a\tb',
  }
  const { supervisor } = create()
  await supervisor.ensure(await spec({ env: given }), signal)
  await started()
  const found = Object.fromEntries(
    (await readFile(seen, 'utf8')).split('\0').map((line): [string, string] => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
  for (const [name, value] of Object.entries(given)) t.equal(found[name], value, name)
})

t.test('the next agent adopts what runs', async (t) => {
  const before = await earlierAgent({})
  await started()
  const { supervisor, states } = create()
  await supervisor.ensure(await spec(), signal)
  t.match(supervisor.state(), { running: true, pid: before.pid, restarts: 0, hash: before.hash })
  const [then = 0, now = 0] = [before.startedAt, supervisor.state().startedAt]
  t.ok(Math.abs(now - then) < 2_000, `since when it runs is known: ${then} and ${now}`)
  t.ok(states.every(({ running }) => running))
  process.kill(before.pid ?? 0, 'SIGKILL')
  await waitFor(() => supervisor.state().running && supervisor.state().pid !== before.pid, {
    what: 'its end to be noticed, and another one',
  })
})

t.test('another specification replaces it, but not before it is asked to', async (t) => {
  const before = await earlierAgent({})
  await started()
  const { supervisor } = create()
  const two = await spec({ version: '2.0.0', env: { NEW: 'yes' } })
  await supervisor.ensure(two, signal, { keepOther: true })
  const { pid, hash, program: from } = before
  t.match(supervisor.state(), { running: true, pid, hash, program: from })
  await supervisor.ensure(two, signal)
  await started()
  t.notOk(await isAlive(pid ?? 0))
  t.match(supervisor.state(), { running: true, restarts: 0, hash: two.hash, program: two.command })
  t.match(await readFile(seen, 'utf8'), /NEW=yes/)
})

t.test('one that is killed is back, and its Envoy does not outlive it', async (t) => {
  const { supervisor, states } = create()
  await supervisor.ensure(await spec(), signal)
  await started()
  const { pid = 0 } = supervisor.state()
  const envoy = await envoyPid()
  await rm(seen)
  process.kill(pid, 'SIGKILL')
  await waitFor(() => supervisor.state().running && supervisor.state().pid !== pid, {
    what: 'another one',
    onTimeout: () => JSON.stringify(states),
  })
  await started()
  t.notOk(await isAlive(envoy))
  const down = states.find(({ running }) => !running)
  t.match(down, { lastExit: { code: null, signal: 'SIGKILL' }, downForGood: false })
  t.equal(supervisor.state().restarts, 1)
})

t.test('one that fails again and again is down for good, with its last words', async (t) => {
  const { supervisor, states } = create()
  const failing = await spec({ conduct: 'fails' })
  await supervisor.ensure(failing, signal).catch((error) => t.match(error, { code: 'SIDECAR_EXITED' }))
  await waitFor(() => supervisor.state().downForGood, {
    what: 'it to be given up',
    limitMs: 150_000,
    onTimeout: () => JSON.stringify(states),
  })
  const last = states.findLast(({ lastExit }) => lastExit?.code === 7)
  t.match(last?.lastExit?.tail.join('\n'), /the words of fails/)
  await supervisor.ensure(await spec(), signal)
  await started()
  t.ok(supervisor.state().running, 'another specification begins anew')
})

t.test('a stop leaves nothing, whatever the program thinks of it', async (t) => {
  for (const conduct of ['runs', 'stubborn'] as const) {
    const { supervisor } = create()
    await supervisor.ensure(await spec({ conduct }), signal)
    await started()
    const { pid = 0 } = supervisor.state()
    const envoy = await envoyPid()
    await supervisor.stop(conduct === 'runs' ? graceMs : 500, signal)
    t.notOk(await isAlive(pid), conduct)
    t.notOk(await isAlive(envoy), `${conduct}: its child`)
    t.match(supervisor.state(), { running: false, downForGood: false })
  }
  await create().supervisor.stop(graceMs, signal)
  t.pass('a second one has nothing to do')
})
