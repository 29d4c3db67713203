import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { mustRun, runCommand } from '../command.ts'
import { processesIn } from '../network/namespace-processes.ts'
import { fullPath } from '../on-path.ts'
import { TestbedError } from '../testbed-error.ts'
import { createCables, plugIntoNamespace, unplugNamespace } from './cards.ts'
import { consoleEnd, consoleText } from './console.ts'
import { containerCommand, rebootCode, type Share } from './container-command.ts'
import { removeControlGroups } from './control-group.ts'
import { fitIntoTestbed } from './fitting.ts'
import { within } from './limit.ts'
import type { BootState, Container, ExecOptions, Image, MachineDeps } from './machine.ts'
import { claimPlace } from './place.ts'
import { cardsOf, seedFiles } from './seed.ts'

export interface ContainerDeps extends MachineDeps {
  readonly image: Image
  /** Folders and files of this machine that it sees, read-only. */
  readonly shares?: readonly Share[]
}

const bootLimitMs = 180_000
const shutdownLimitMs = 180_000
const pollMs = 100
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Makes a machine out of systemd-nspawn, which is off. */
export async function createContainer(deps: ContainerDeps): Promise<Container> {
  const { network, name, image } = deps
  const place = await claimPlace(network, name)
  const cards = cardsOf(place.number, deps.secondNetwork ?? false)
  const first = cards[0] as (typeof cards)[number]
  const cables = createCables({ hostNamespace: network.host.name, number: place.number, cards })
  const plugs = { namespace: place.namespace, hostNamespace: network.host.name, cables, cards }
  const overlay = {
    layers: image.layers,
    upper: join(place.dir, 'disk'),
    work: join(place.dir, 'work'),
    merged: join(place.dir, 'root'),
  }
  const consoleFile = join(place.dir, 'console.log')
  const seedDir = join(overlay.upper, 'var/lib/cloud/seed/nocloud')
  await Promise.all([overlay.work, overlay.merged, seedDir].map((dir) => mkdir(dir, { recursive: true })))
  for (const [file, content] of Object.entries(seedFiles(name, cards, deps.seed)))
    await writeFile(join(seedDir, file), content, { mode: 0o600 })
  await fitIntoTestbed(overlay.upper)

  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()
  let boots = 0
  let cut = false

  async function powerOn(): Promise<void> {
    if (child !== undefined) return
    cut = false
    await boot()
  }

  async function boot(): Promise<void> {
    await plugIntoNamespace(plugs)
    const [command = '', ...args] = containerCommand({
      overlay,
      name,
      group: place.namespace,
      namespacePath: `/run/netns/${place.namespace}`,
      shares: deps.shares ?? [],
    })
    const output = openSync(consoleFile, 'a')
    const started = spawn(command, args, {
      env: { PATH: fullPath(process.env.PATH) },
      stdio: ['ignore', output, output],
      detached: true,
    })
    closeSync(output)
    child = started
    boots++
    ended = new Promise((resolve) => {
      const end = (code: number | null) => {
        child = undefined
        // What it asks its platform for with this code is to be started again.
        if (code === rebootCode && !cut) resolve(boot())
        else resolve()
      }
      started.once('exit', end)
      started.once('error', () => end(null))
    })
    // Whoever waits for the end sees why it did not start again; nobody else must.
    ended.catch(() => {})
  }

  async function leader(): Promise<number | undefined> {
    if (child === undefined) return undefined
    for (const pid of await processesIn(place.namespace)) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      // The first of its process namespace, which is one below ours.
      if (/^NSpid:\t\d+\t1$/m.test(status)) return pid
    }
    return undefined
  }

  async function running(): Promise<number> {
    const pid = await leader()
    if (pid === undefined) throw new TestbedError('MACHINE_OFF', name)
    return pid
  }

  async function exec(command: string, args: readonly string[] = [], options: ExecOptions = {}) {
    const { timeoutMs = 60_000, input, env = {} } = options
    const inside = ['--all', `--target=${await running()}`, '--', command, ...args]
    return runCommand('nsenter', inside, {
      env: { PATH: path, HOME: '/root', LANG: 'C.UTF-8', ...env },
      timeoutMs,
      ...(input === undefined ? {} : { input }),
    })
  }

  async function booted(limitMs = bootLimitMs): Promise<BootState> {
    const end = performance.now() + limitMs
    for (;;) {
      if (child === undefined) throw new TestbedError('MACHINE_OFF', `${name}\n${consoleEnd(consoleFile)}`)
      const left = Math.max(1_000, end - performance.now())
      const said = await exec('systemctl', ['is-system-running', '--wait'], { timeoutMs: left }).catch(
        (error: unknown) => {
          if (performance.now() > end) throw notBooted(error)
          return undefined
        },
      )
      const state = said?.stdout.trim()
      if (state === 'running' || state === 'degraded') return state
      if (performance.now() > end) throw notBooted(state)
      await sleep(pollMs)
    }
  }

  function notBooted(cause: unknown) {
    return new TestbedError(
      'MACHINE_STUCK',
      `${name} did not boot: ${cause}\n${consoleEnd(consoleFile)}`,
      cause,
    )
  }

  async function shutDown(verb: 'reboot' | 'poweroff', limitMs: number): Promise<void> {
    const over = ended
    // It may be gone before it has answered.
    await exec('systemctl', ['--no-block', verb]).catch(() => {})
    const late = () =>
      new TestbedError('MACHINE_STUCK', `${name} did not ${verb}\n${consoleEnd(consoleFile)}`)
    await within(over, limitMs, late)
  }

  async function kill(): Promise<void> {
    cut = true
    const over = ended
    child?.kill('SIGKILL')
    await over
    await unplugNamespace(plugs)
    await removeControlGroups(place.namespace)
  }

  return {
    name,
    address: first.address,
    address6: first.address6,
    get on() {
      return child !== undefined
    },
    get boots() {
      return boots
    },
    get consoleLog() {
      return consoleText(consoleFile)
    },
    powerOn,
    booted,
    exec,
    leader,
    async path(inside) {
      return join('/proc', String(await running()), 'root', inside)
    },
    async journal(args = []) {
      const from = `--directory=${join(overlay.upper, 'var/log/journal')}`
      return (await mustRun('journalctl', [from, '--no-pager', '--quiet', ...args])).stdout
    },
    async reboot(limitMs = shutdownLimitMs) {
      await shutDown('reboot', limitMs)
      return booted(limitMs)
    },
    async powerOff(limitMs = shutdownLimitMs) {
      if (child === undefined) return
      await shutDown('poweroff', limitMs)
      await kill()
    },
    async cutPower() {
      if (child !== undefined) await cables.linkDown()
      await kill()
    },
    linkDown: cables.linkDown,
    linkUp: cables.linkUp,
    async destroy() {
      await kill()
      await rm(place.dir, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}
