import packageFile from '../package.json' with { type: 'json' }
import { createBackoff } from '../shared/backoff.ts'
import { systemClock as clock } from '../shared/clock.ts'
import { type Condition, firstFault } from '../shared/conditions.ts'
import { MooringError } from '../shared/errors.ts'
import { createLog, type Log, type LogLevel } from '../shared/log.ts'
import { readNameservers } from './capture/nameservers.ts'
import { describeError, exitCodeOf, exitCodes, helpText, type Invocation, parseCommandLine } from './cli.ts'
import { doctorChecks } from './commands/checks.ts'
import { diagnose, findingsText, isWell } from './commands/doctor.ts'
import { joinOnly } from './commands/join.ts'
import { leaveOnce } from './commands/leave.ts'
import { bundleToRender, rendering, renderingText } from './commands/render.ts'
import type { RunningAgent } from './commands/run.ts'
import { readStatusView, statusText } from './commands/status.ts'
import { type AgentConfig, readConfig } from './config.ts'
import type { ConfigLayer } from './config-layers.ts'
import { createEffects } from './effects.ts'
import { createControllerAddresses, hasIpv6 } from './host/addresses.ts'
import { readConfigFiles } from './host/config-files.ts'
import { datagramVariables, inheritedDatagram } from './host/datagram.ts'
import { exec } from './host/exec.ts'
import { machineArch, machineFacts } from './host/facts.ts'
import { takeHanded } from './host/handed-config.ts'
import { createJournalWriter, isJournal } from './host/journal.ts'
import { takeLock } from './host/lock.ts'
import { readMachineMark } from './host/machine-mark.ts'
import { createNotify, watchdogMs } from './host/notify.ts'
import { type AgentPaths, agentPaths, configPath } from './host/paths.ts'
import { readMachineFacts } from './host/self.ts'
import { createSignOfLife } from './host/sign-of-life.ts'
import { askLocal, serveLocal } from './host/socket.ts'
import { askStopIntent } from './host/stop-intent.ts'
import { claimState } from './join/claim.ts'
import { createLink } from './link.ts'
import { createObstacles } from './obstacles.ts'
import { createResident, type ResidentDeps } from './resident.ts'
import { watchSignals } from './shutdown/signals.ts'
import { sidecarPaths, sidecarUser } from './sidecar/paths.ts'
import { createProcessTable } from './sidecar/process-table.ts'
import { chooseSupervisor } from './sidecar/supervisor-choice.ts'
import { openState, peekState, type StateStore } from './state.ts'

const agentVersion = packageFile.version
const quickMs = 5_000
/** Longest that `drain` and `leave` wait: more than the longest deadline of a pool. */
const patientMs = 3_700_000

try {
  const invocation = parseCommandLine(process.argv.slice(2))
  process.exitCode = await main(invocation)
  // What an agent that stepped aside was waiting for must not hold it here.
  if (invocation.command === 'run') process.exit()
} catch (error) {
  process.stderr.write(describeError(error))
  process.exitCode = exitCodeOf(error)
}

interface Setting {
  readonly config: AgentConfig
  readonly paths: AgentPaths
}

async function main(invocation: Invocation): Promise<number> {
  switch (invocation.command) {
    case 'help':
      return print(helpText)
    case 'version':
      return print(`mooring-agent ${agentVersion}\n`)
    case 'facts':
      return print(`${JSON.stringify(await machineFacts())}\n`)
    case 'run':
      return run(invocation)
    case 'join':
      return join(invocation)
    case 'status':
      return status(invocation)
    case 'drain':
      return print(`${JSON.stringify(await ask(await settingOf(invocation), 'drain', invocation))}\n`)
    case 'leave':
      return leave(invocation)
    case 'doctor':
      return doctor(invocation)
    case 'render':
      return render(invocation)
  }
}

async function run(invocation: Invocation): Promise<number> {
  // With the sidecar's group: the traffic rules let it pass, so the agent is never captured.
  if (process.getuid?.() === 0) process.setgid?.(sidecarUser.gid)
  const over = new AbortController()
  const isUnit = process.env.NOTIFY_SOCKET !== undefined
  const signals = watchSignals(process, isUnit ? () => askStopIntent(exec) : undefined)
  const notify = createNotify({
    ...{ socket: process.env.NOTIFY_SOCKET, exec },
    send: inheritedDatagram(process.env[datagramVariables.notify]),
  })
  const sign = createSignOfLife({
    ...{ notify, clock, stop: signals.stop },
    watchdogMs: watchdogMs(process.env, process.pid),
  })
  const processes = createProcessTable('/proc')
  const asked = AbortSignal.any([signals.stop, signals.aside])
  const obstacles = createObstacles({
    ...{ clock, tell: notify.status, signal: asked, log: residentLog(invocation.logLevel ?? 'info').log },
    backoff: createBackoff({ baseMs: 1_000, maxMs: 10_000, floorMs: 500 }),
  })
  let unlock: () => Promise<void> = async () => {}
  let handed = takeHanded(process.env)
  try {
    // Not when this VM is in the mesh, or configured: a boot that waits for that would hang without a controller.
    notify.ready()
    void sign.run(over.signal)
    const { config, paths } = await obstacles.pass(() => {
      const layers = handed
      // Once: what does not do yet is looked for on disk again.
      handed = undefined
      return settingOf(invocation, layers)
    })
    const { log, name } = residentLog(invocation.logLevel ?? config.log.level)
    unlock = await obstacles.pass(() => takeLock({ path: paths.lock, pid: process.pid, processes }))
    const store = await obstacles.pass(() => openState({ path: paths.stateFile, log }))
    name(() => store.current()?.identity?.vm)
    const linked = await linkOf(config, paths, store, log)
    const mark = await readMachineMark(paths.root)
    await obstacles.pass(() => claimState({ store, mark, clock, effects: linked.effects, log }))
    const resident = await residentOf({
      ...{ config, paths, store, processes, signals, log, sign, ...linked },
      ...{ over: over.signal, tell: notify.status },
    })
    const local = await serveLocal(paths.socket, resident.answer)
    log.info('agent started', {
      version: agentVersion,
      pool: config.pool,
      controller: config.controller.url.origin,
    })
    try {
      await Promise.race([resident.run(), aborted(signals.aside)])
    } finally {
      await local.close()
    }
    log.info(signals.aside.aborted ? 'agent steps aside for the next one' : 'agent ends')
    return exitCodes.ok
  } catch (error) {
    // It was asked to end before it could start.
    if (asked.aborted && error === asked.reason) return exitCodes.ok
    throw error
  } finally {
    over.abort()
    signals.close()
    await unlock()
  }
}

type ResidentParts = Omit<
  ResidentDeps,
  'agentVersion' | 'captureFacts' | 'clock' | 'folders' | 'host' | 'machineFacts' | 'supervisor'
>

/** The agent on this machine. */
async function residentOf({ paths, ...parts }: ResidentParts & Setting): Promise<RunningAgent> {
  const { controller, state, supervisor: wanted } = parts.config
  const addresses = createControllerAddresses(controller.url.hostname, clock)
  return createResident({
    ...{ ...parts, agentVersion, clock, folders: paths },
    host: { uid: process.getuid?.() ?? -1, platform: process.platform, arch: machineArch() },
    captureFacts: () => captureFacts(addresses.current),
    machineFacts: (signal) => readMachineFacts(exec, ownCommand(), signal),
    supervisor: await chooseSupervisor({ wanted, root: paths.root, state }),
  })
}

async function leave(invocation: Invocation): Promise<number> {
  const setting = await settingOf(invocation)
  const done = await leaveOnce({
    ask: () => ask(setting, 'leave', invocation),
    state: () => peekState(setting.paths.stateFile),
    alone: async () => ({ result: await leaveAlone(setting, invocation) }),
    clock,
  })
  return print(`${JSON.stringify(done)}\n`)
}

/** Takes this VM out of the mesh in place of the agent, which does not run. */
async function leaveAlone({ config, paths }: Setting, invocation: Invocation): Promise<string> {
  if (process.getuid?.() === 0) process.setgid?.(sidecarUser.gid)
  const log = createLog({ level: invocation.logLevel ?? config.log.level })
  const signals = watchSignals(process)
  const processes = createProcessTable('/proc')
  const over = new AbortController()
  const unlock = await takeLock({ path: paths.lock, pid: process.pid, processes })
  try {
    const store = await openState({ path: paths.stateFile, log })
    const linked = await linkOf(config, paths, store, log)
    const mark = await readMachineMark(paths.root)
    // A copy of another VM's disk must not take that VM out.
    await claimState({ store, mark, clock, effects: linked.effects, log })
    const sign: ResidentDeps['sign'] = { mark() {}, during: (work) => work }
    const resident = await residentOf({
      ...{ config, paths, store, processes, signals, log, sign, ...linked },
      ...{ over: over.signal, tell() {} },
    })
    log.warn('no agent runs: this command takes the VM out of the mesh')
    return await resident.leave(invocation.reason)
  } finally {
    over.abort()
    signals.close()
    await unlock()
  }
}

/** The log of the agent that stays: entries of the journal where that is its standard error, else lines. */
function residentLog(level: LogLevel) {
  let vm = (): string | undefined => undefined
  const send = inheritedDatagram(process.env[datagramVariables.journal])
  const toJournal =
    send !== undefined && isJournal(process.env.JOURNAL_STREAM)
      ? createJournalWriter({
          send,
          context: () => ({ vm: vm() }),
          fallback: (line) => void process.stderr.write(`${line}\n`),
        })
      : undefined
  return {
    log: createLog({ level, ...(toJournal && { write: toJournal }) }),
    name(read: typeof vm) {
      vm = read
    },
  }
}

async function join(invocation: Invocation): Promise<number> {
  const { config, paths } = await settingOf(invocation)
  const running = await askLocal(paths.socket, { kind: 'join' }, quickMs).catch((error) => {
    if (exitCodeOf(error) === exitCodes.notRunning) return undefined
    throw error
  })
  if (running !== undefined) return print(`${JSON.stringify(running)}\n`)
  const log = createLog({ level: invocation.logLevel ?? 'warn' })
  const signals = watchSignals(process)
  const processes = createProcessTable('/proc')
  const unlock = await takeLock({ path: paths.lock, pid: process.pid, processes })
  try {
    const store = await openState({ path: paths.stateFile, log })
    const { effects, link } = await linkOf(config, paths, store, log)
    await claimState({ store, mark: await readMachineMark(paths.root), clock, effects, log })
    return print(`${await joinOnly({ joiner: link.joiner, store, clock, signal: signals.stop })}\n`)
  } finally {
    signals.close()
    await unlock()
  }
}

async function status(invocation: Invocation): Promise<number> {
  const { paths } = await settingOf(invocation)
  const view = readStatusView(await askLocal(paths.socket, { kind: 'status' }, quickMs))
  return print(invocation.json ? `${JSON.stringify(view, null, 2)}\n` : statusText(view))
}

function ask({ paths }: Setting, kind: 'drain' | 'leave', { reason }: Invocation): Promise<unknown> {
  return askLocal(paths.socket, { kind, reason }, patientMs)
}

async function doctor(invocation: Invocation): Promise<number> {
  const { config, paths } = await settingOf(invocation)
  const state = () => peekState(paths.stateFile)
  const known = await state().catch(() => undefined)
  const log = createLog({ level: 'silent' })
  const { link } = await linkOf(config, paths, { current: () => known, write: async () => {} }, log)
  const checks = doctorChecks({
    ...{ uid: process.getuid?.() ?? -1, platform: process.platform, arch: machineArch(), clock, exec },
    controllerUrl: config.controller.url,
    controller: link.controller,
    method: link.method,
    ...{ stateFolder: paths.state, sidecarVersions: sidecarPaths(paths).versions, state },
    running: () => troubleOf(paths.socket),
    proc: '/proc',
    sys: '/sys',
  })
  const findings = await diagnose(checks, new AbortController().signal)
  print(invocation.json ? `${JSON.stringify(findings, null, 2)}\n` : findingsText(findings))
  return isWell(findings) ? exitCodes.ok : exitCodes.failed
}

/** What keeps the running agent from serving, as an error; words when nothing does. */
async function troubleOf(socket: string): Promise<string> {
  const { stage, conditions } = readStatusView(await askLocal(socket, { kind: 'status' }, quickMs))
  const fault = firstFault(conditions as readonly Condition[])
  if (fault?.status === 'False' && !['draining', 'held', 'leaving', 'left'].includes(stage)) {
    throw new MooringError('UNAVAILABLE', { detail: `${fault.type}: ${fault.reason} ${fault.message}` })
  }
  return `runs, ${stage}`
}

async function render(invocation: Invocation): Promise<number> {
  const { config, paths } = await settingOf(invocation)
  const bundle = await bundleToRender(invocation.bundle, paths.stateFile)
  const addresses = createControllerAddresses(config.controller.url.hostname, clock)
  const rendered = rendering({
    bundle,
    arch: machineArch(),
    paths: sidecarPaths(paths),
    facts: await captureFacts(addresses.current),
  })
  return print(invocation.json ? `${JSON.stringify(rendered, null, 2)}\n` : renderingText(rendered))
}

async function settingOf(invocation: Invocation, handed?: readonly ConfigLayer[]): Promise<Setting> {
  const path = configPath(invocation)
  const config = readConfig(handed ?? (await readConfigFiles(path)), process.env)
  return { config, paths: agentPaths(invocation.root, path, config) }
}

async function linkOf(config: AgentConfig, { root }: AgentPaths, store: StateStore, log: Log) {
  const effects = createEffects({ after: killPoint })
  const bootId = await createProcessTable('/proc').bootId()
  const link = createLink({ config, root, store, agentVersion, bootId, clock, effects, log })
  return { effects, link, bootId }
}

/** A fault point for tests: an agent must survive being killed after each of its effects. */
function killPoint(name: string): void {
  if (name === process.env.MOORING_TEST_KILL_AFTER) process.kill(process.pid, 'SIGKILL')
}

async function captureFacts(controllerAddresses: () => Promise<readonly string[]>) {
  return {
    controllerAddresses: await controllerAddresses(),
    nameservers: await readNameservers('/etc/resolv.conf'),
    ipv6: hasIpv6(),
  }
}

/** How this program starts itself for work that should not stay in its memory. */
function ownCommand(): readonly string[] {
  const [, script = ''] = process.argv
  // A compiled executable has its script inside.
  return script.startsWith('/$bunfs/') ? [process.execPath] : [process.execPath, script]
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

function print(text: string): number {
  process.stdout.write(text)
  return exitCodes.ok
}
