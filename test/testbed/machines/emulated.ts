import type { ChildProcess } from 'node:child_process'
import { appendFileSync, existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { arch } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { mustRun, runCommand } from '../command.ts'
import { ipBatch } from '../network/ip.ts'
import { TestbedError } from '../testbed-error.ts'
import { createCables } from './cards.ts'
import { consoleEnd, consoleText } from './console.ts'
import { controlEmulator } from './control-socket.ts'
import type { Disk } from './disk.ts'
import { emulatedCommand } from './emulated-command.ts'
import { within } from './limit.ts'
import type { BootState, Emulated, ExecOptions, MachineDeps } from './machine.ts'
import { claimPlace } from './place.ts'
import { cardsOf, seedFiles } from './seed.ts'
import { createShellPort, type ShellPort } from './shell-port.ts'
import { createTimeline, type Landmark, landmarks } from './timeline.ts'

export interface EmulatedDeps extends MachineDeps {
  readonly disk: Disk
  /** @defaultValue 1024 */
  readonly memoryMb?: number
  /** @defaultValue 2 */
  readonly processors?: number
  /** Points of the boot beside the usual ones. */
  readonly landmarks?: readonly Landmark[]
}

// Under an emulated processor, on a machine that is busy with other things too.
const bootLimitMs = 600_000
const shutdownLimitMs = 300_000
const pollMs = 50

/** Makes a machine out of an emulator, which is off. */
export async function createEmulated(deps: EmulatedDeps): Promise<Emulated> {
  const { network, name, disk, memoryMb = 1024, processors = 2 } = deps
  const place = await claimPlace(network, name)
  const cards = cardsOf(place.number, deps.secondNetwork ?? false)
  const first = cards[0] as (typeof cards)[number]
  const hostNamespace = network.host.name
  const cables = createCables({ hostNamespace, number: place.number, cards })
  const [own, seed, control, shellSocket, consoleFile] = [
    'disk.qcow2',
    'seed.iso',
    'control.sock',
    'shell.sock',
    'console.log',
  ].map((file) => join(place.dir, file)) as [string, string, string, string, string]
  const points = [...landmarks, ...(deps.landmarks ?? [])]

  await mustRun('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', disk.image, own])
  await makeSeed(seed, seedFiles(name, cards, deps.seed))
  await ipBatch(
    cards.flatMap((card) => [
      `tuntap add dev ${cables.port(card)} mode tap`,
      `link set ${cables.port(card)} master ${card.bridge} up`,
    ]),
    { namespace: hostNamespace },
  )

  let child: ChildProcess | undefined
  let shell: ShellPort | undefined
  let ended: Promise<void> = Promise.resolve()
  let boots = 0
  let timeline = createTimeline(points)

  async function powerOn(): Promise<void> {
    if (child !== undefined) return
    await Promise.all([control, shellSocket].map((file) => rm(file, { force: true })))
    const [command, args] = emulatedCommand({
      arch: arch() === 'arm64' ? 'arm64' : 'x64',
      name,
      kernel: disk.kernel,
      initrd: disk.initrd,
      disk: own,
      seed,
      memoryMb,
      processors,
      cards: cards.map((card) => ({ card, tap: cables.port(card) })),
      control,
      shell: shellSocket,
    })
    let since = performance.now()
    let kernels = 0
    timeline = createTimeline(points)
    boots++
    const started = network.host.spawn(command, args)
    child = started
    if (started.stdout !== null)
      createInterface({ input: started.stdout }).on('line', (line) => {
        appendFileSync(consoleFile, `${line}\n`)
        // The emulator lives on when the machine reboots: the next kernel shows that it has.
        if (/Linux version \d/.test(line) && kernels++ > 0) {
          boots++
          since = performance.now()
          timeline = createTimeline(points)
        }
        timeline.take(line, performance.now() - since)
      })
    started.stderr?.on('data', (text: Buffer) => appendFileSync(consoleFile, text))
    ended = new Promise((resolve) => {
      const end = () => {
        child = undefined
        shell?.close()
        shell = undefined
        resolve()
      }
      started.once('close', end)
      started.once('error', end)
    })
    await until(() => existsSync(shellSocket) && existsSync(control), 60_000, 'start')
    shell = createShellPort(shellSocket)
  }

  async function until(done: () => boolean, limitMs: number, what: string): Promise<void> {
    const end = performance.now() + limitMs
    while (!done()) {
      if (child === undefined) throw new TestbedError('MACHINE_OFF', `${name}\n${consoleEnd(consoleFile)}`)
      if (performance.now() > end) throw stuck(what)
      await sleep(pollMs)
    }
  }

  const stuck = (what: string) =>
    new TestbedError('MACHINE_STUCK', `${name} did not ${what}\n${consoleEnd(consoleFile)}`)

  async function exec(command: string, args: readonly string[] = [], options: ExecOptions = {}) {
    const { timeoutMs = 120_000, input = '', env = {} } = options
    if (shell === undefined) throw new TestbedError('MACHINE_OFF', name)
    const words = Object.entries(env).map(([key, value]) => `${key}=${value}`)
    return shell.run('env', [...words, command, ...args], input, timeoutMs)
  }

  async function booted(limitMs = bootLimitMs): Promise<BootState> {
    const said = await exec('systemctl', ['is-system-running', '--wait'], { timeoutMs: limitMs }).catch(
      (cause: unknown) => {
        throw new TestbedError(
          'MACHINE_STUCK',
          `${name} did not boot: ${cause}\n${consoleEnd(consoleFile)}`,
          cause,
        )
      },
    )
    const state = said.stdout.trim()
    if (state !== 'running' && state !== 'degraded') throw stuck(`boot: ${state}`)
    return state
  }

  async function kill(): Promise<void> {
    const over = ended
    child?.kill('SIGKILL')
    await over
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
    get timeline() {
      return timeline.stamps
    },
    powerOn,
    booted,
    exec,
    async reboot(limitMs = bootLimitMs) {
      const before = boots
      await exec('systemctl', ['--no-block', 'reboot'])
      await until(() => boots > before, limitMs, 'reboot')
      return booted(limitMs)
    },
    async powerOff(limitMs = shutdownLimitMs) {
      if (child === undefined) return
      const over = ended
      await controlEmulator(control, 'system_powerdown')
      await within(over, limitMs, () => stuck('power off'))
    },
    async cutPower() {
      if (child !== undefined) await cables.linkDown()
      await kill()
      await cables.linkUp()
    },
    linkDown: cables.linkDown,
    linkUp: cables.linkUp,
    async destroy() {
      await kill()
      for (const card of cards)
        await runCommand('ip', ['-n', hostNamespace, 'link', 'del', cables.port(card)])
      await rm(place.dir, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** Writes the seed as the disk that cloud-init looks for. */
async function makeSeed(file: string, files: Readonly<Record<string, string>>): Promise<void> {
  const dir = `${file}.files`
  await mkdir(dir)
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  const volume = ['-volid', 'CIDATA', '-joliet', '-rational-rock']
  await mustRun('xorriso', ['-as', 'mkisofs', '-quiet', ...volume, '-output', file, dir])
}
