import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { StatusView } from '../../../agent/commands/status.ts'
import type { State } from '../../../agent/state.ts'
import type { FakeController } from '../../fakes/stand-in-controller.ts'
import { waitFor } from '../../world/waiting.ts'

const project = path.resolve(import.meta.dirname, '../../..')
export const executable = path.join(project, 'dist/mooring-agent')
export const joinToken = 'join-token-that-nobody-may-read'

/** Builds the executable that ships, if it is not up to date. */
export async function buildExecutable(): Promise<void> {
  await promisify(execFile)(process.execPath, [path.join(project, 'packaging/executable/build.ts')])
}

/** A machine as the agent sees it: a file root of its own, and the executable that ships. */
export interface TestVm {
  readonly root: string
  readonly stateFile: string
  /** Everything that all its agents have logged. */
  log(): string
  start(options?: { readonly env?: Readonly<Record<string, string>> }): ChildProcess
  /** Runs one command to its end. */
  agent(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>
  status(): Promise<StatusView>
  state(): Promise<State>
  /** Waits until the agent has gone; returns code or signal. */
  ended(child: ChildProcess): Promise<number | NodeJS.Signals>
  close(): Promise<void>
}

export interface TestVmOptions {
  readonly controller: FakeController
  /** Instead of the controller's pin. */
  readonly trust?: { readonly pin: string } | { readonly ca: string }
  readonly token?: string
}

export async function createTestVm({ controller, trust, token = joinToken }: TestVmOptions): Promise<TestVm> {
  await buildExecutable()
  const root = await mkdtemp(path.join(tmpdir(), 'mooring-agent-'))
  const etc = path.join(root, 'etc/mooring')
  await mkdir(etc, { recursive: true })
  await writeFile(path.join(etc, 'token'), `${token}\n`, { mode: 0o600 })
  const known = trust ?? { pin: controller.authority.pin }
  if ('ca' in known) await writeFile(path.join(etc, 'ca.pem'), known.ca)
  const told = 'ca' in known ? { caFile: '/etc/mooring/ca.pem' } : known
  await writeFile(
    path.join(etc, 'agent.yaml'),
    JSON.stringify({
      controller: { url: controller.url, ...told },
      pool: 'servers',
      log: { level: 'debug' },
    }),
  )
  const stateFile = path.join(root, 'var/lib/mooring/state.json')
  const children = new Set<ChildProcess>()
  let logged = ''

  async function agent(...args: readonly string[]) {
    const child = spawn(executable, [...args, '--root', root], {
      cwd: root,
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (part) => {
      stdout += part
    })
    child.stderr.on('data', (part) => {
      stderr += part
    })
    const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? -1)))
    return { code, stdout, stderr }
  }

  return {
    root,
    stateFile,
    log: () => logged,
    start({ env = {} } = {}) {
      const child = spawn(executable, ['run', '--root', root], {
        cwd: root,
        env: { ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      children.add(child)
      child.stderr.on('data', (part) => {
        logged += part
      })
      return child
    },
    agent,
    async status() {
      const { code, stdout, stderr } = await agent('status', '--json')
      if (code !== 0) throw new Error(`status: exit code ${code}: ${stderr}`)
      return JSON.parse(stdout) as StatusView
    },
    state: async () => JSON.parse(await readFile(stateFile, 'utf8')) as State,
    async ended(child) {
      await waitFor(() => child.exitCode !== null || child.signalCode !== null, {
        what: 'the agent to end',
        onTimeout: () => logged,
      })
      return child.signalCode ?? child.exitCode ?? -1
    },
    async close() {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        child.kill('SIGKILL')
        await new Promise((resolve) => child.once('exit', resolve))
      }
      await rm(root, { recursive: true, force: true })
    },
  }
}
