import type { ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { VmView } from '../../shared/api/operator.ts'
import { type CommandResult, mustRun } from '../testbed/command.ts'
import type { Vm } from '../testbed/network/vm.ts'
import { agentExecutable } from './agent-executable.ts'
import type { ControllerProcess } from './controller-process.ts'
import type { Operator } from './operator.ts'
import { waitFor } from './waiting.ts'

const project = resolve(import.meta.dirname, '../..')
const appServer = join(project, 'test/testbed/apps/app-server.ts')

/** A VM with the agent that ships, as an image would have it: executable, configuration, token, baked-in sidecar. */
export interface Member {
  readonly vm: Vm
  readonly name: string
  readonly pool: string
  readonly agentLog: string
  /** Starts the agent; `env` for kill points. Resolves when the process runs. */
  startAgent(options?: { env?: Readonly<Record<string, string>> }): Promise<ChildProcess>
  /** Runs one command of the agent's command line in the VM. */
  agent(...args: readonly string[]): Promise<CommandResult>
  /** Starts the application; `bind` is where it listens, every IPv4 address by default. */
  startApp(options?: { bind?: string }): Promise<void>
  /** The VM's record as the controller has it, once the agent has joined. */
  view(): Promise<VmView>
  waitPhase(phase: VmView['phase'], limitMs?: number): Promise<VmView>
  /** SIGTERM to the agent, and waits until it is gone; returns its exit code. */
  shutDown(): Promise<number | null>
  /** SIGKILL to the agent alone. */
  killAgent(): Promise<void>
  /** Process ids of the sidecar. */
  sidecar(): Promise<{ pilotAgent?: number; envoy?: number }>
}

export interface MemberDeps {
  readonly vm: Vm
  readonly pool: string
  readonly controller: ControllerProcess
  readonly operator: Operator
  /** Join token; absent when the image is to have none. */
  readonly token?: string
  /** A folder with an installed sidecar; its files are linked into the VM. */
  readonly bakedState?: string
  /** Merged into the agent's configuration. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** Lays the agent's files into a VM; nothing is started. */
export async function createMember(deps: MemberDeps): Promise<Member> {
  const { vm, pool, controller, operator } = deps
  const etc = join(vm.root, 'etc/mooring')
  await mkdir(etc, { recursive: true })
  if (deps.token !== undefined) await writeFile(join(etc, 'token'), deps.token, { mode: 0o600 })
  await writeFile(
    join(etc, 'agent.yaml'),
    JSON.stringify({
      controller: { url: controller.url, pin: controller.pin },
      pool,
      join: { method: 'token', tokenFile: '/etc/mooring/token' },
      log: { level: 'debug' },
      ...deps.config,
    }),
  )
  if (deps.bakedState !== undefined) await bakeInto(vm.root, deps.bakedState)
  const agentLog = join(vm.root, 'agent.log')
  let child: ChildProcess | undefined

  async function startAgent(options: { env?: Readonly<Record<string, string>> } = {}): Promise<ChildProcess> {
    const started = vm.spawn(agentExecutable, ['run', '--root', vm.root], {
      cwd: vm.root,
      env: { PATH: process.env.PATH ?? '', HOME: '/', LANG: 'C.UTF-8', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = createWriteStream(agentLog, { flags: 'a' })
    started.stderr?.pipe(log)
    started.stdout?.resume()
    child = started
    return started
  }

  async function id(): Promise<string> {
    const state = JSON.parse(await readFile(join(vm.root, 'var/lib/mooring/state.json'), 'utf8')) as {
      vm?: string
      identity?: { vm?: string }
    }
    const found = state.vm ?? state.identity?.vm
    if (found === undefined) throw new Error('the agent has no identity yet')
    return found
  }

  async function gone(process: ChildProcess): Promise<number | null> {
    await waitFor(() => process.exitCode !== null || process.signalCode !== null, {
      what: `the agent of ${vm.name} to end`,
      limitMs: 90_000,
      onTimeout: () => tail(agentLog),
    })
    return process.exitCode
  }

  return {
    vm,
    name: vm.name,
    pool,
    agentLog,
    startAgent,
    agent: (...args) => vm.exec(agentExecutable, [...args, '--root', vm.root]),
    async startApp({ bind = '0.0.0.0' } = {}) {
      const app = vm.spawn(process.execPath, [appServer, '--name', vm.name, '--bind', bind], {
        stdio: ['ignore', 'ignore', 'ignore'],
      })
      app.once('error', () => {})
    },
    view: async () => operator.vm(await id()),
    waitPhase: (phase, limitMs = 150_000) =>
      waitFor(
        async () => {
          const view = await operator.vm(await id())
          return view.phase === phase && view
        },
        { what: `${vm.name} to be ${phase}`, limitMs, onTimeout: () => tail(agentLog) },
      ),
    async shutDown() {
      if (child?.pid === undefined) return null
      process.kill(child.pid, 'SIGTERM')
      return gone(child)
    },
    async killAgent() {
      if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      process.kill(child.pid, 'SIGKILL')
      await gone(child)
    },
    async sidecar() {
      const found: { pilotAgent?: number; envoy?: number } = {}
      for (const pid of await vm.pids()) {
        const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
        if (command.trim() === 'pilot-agent') found.pilotAgent = pid
        if (command.trim() === 'envoy') found.envoy = pid
      }
      return found
    },
  }
}

// Hard links: an image has its own copy of 140 MB, here all VMs share one.
async function bakeInto(root: string, bakedState: string): Promise<void> {
  const parent = join(root, 'var/lib/mooring')
  await mkdir(parent, { recursive: true, mode: 0o755 })
  await mustRun('cp', ['-al', bakedState, join(parent, 'sidecar')])
}

/** The end of a log, for the message of a failure. */
export async function tail(file: string, bytes = 4_000): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '(no log)')
  return text.slice(-bytes)
}
