/**
 * Machines that really boot: Debian with its own systemd, cloud-init and network, on the bridge of a testbed's network.
 *
 *     const parts = await ensureMachineParts({ progress })            // cached: a minute the first time
 *     const network = await createNetwork({ name: 'scene' })
 *     const vm = await createContainer({ network, name: 'vm-a', image: parts.image, seed: { userData } })
 *     await vm.powerOn(); await vm.booted()                           // 'running', or 'degraded'
 *     await vm.exec('apt-get', ['install', '-y', '/dist/agent.deb'])  // with shares: [{ from: '/abs/dist', at: '/dist' }]
 *     await vm.exec('systemd-run', ['--unit', 'app', 'program'])      // what shall live on is a unit, as on any server
 *     await vm.journal(['-u', 'app'])                                 // also while it is off
 *     await vm.reboot(); await vm.powerOff(); await vm.powerOn(); await vm.cutPower(); await vm.linkDown()
 *     await vm.destroy()                                              // or network.close(), or the reaper
 *
 *     const disk = await ensureDisk({ progress })                     // half a minute the first time
 *     const vm = await createEmulated({ network, name: 'vm-b', disk, seed })   // its own kernel, in an emulator
 *     await vm.powerOn(); await vm.booted(); vm.timeline              // the same verbs; powerOff is the ACPI button
 *
 * A machine keeps its disk, addresses and identity over reboots and power cuts; its network namespace, and with it the
 * traffic rules, are new at each boot, as on real ones. Other VMs of the network (`network.addVm`) reach it at `address`.
 */
import type { CommandResult } from '../command.ts'
import type { Network } from '../network/network.ts'
import type { Seed } from './seed.ts'
import type { Stamp } from './timeline.ts'

/** A disk's content: folders, the uppermost first, of which only copies are changed. */
export interface Image {
  readonly layers: readonly string[]
}

export interface MachineDeps {
  readonly network: Network
  /** Its hostname, and part of the names of what it is made of. */
  readonly name: string
  readonly seed?: Seed
  /** Cards beside `eth0`, on the second network. @defaultValue false */
  readonly secondNetwork?: boolean
}

export interface Machine {
  readonly name: string
  /** IPv4 address of `eth0`, which the machine gives itself by what cloud-init finds in its seed. */
  readonly address: string
  readonly address6: string
  /** Whether it runs. */
  readonly on: boolean
  /** How many times it was started or started itself. */
  readonly boots: number
  /** Everything that it wrote to its console, over all boots. */
  readonly consoleLog: string
  powerOn(): Promise<void>
  /** Waits until all work of the boot is done. @defaultValue 180 s */
  booted(limitMs?: number): Promise<BootState>
  /** A shutdown in order, asked for as its platform does; returns when it is off. */
  powerOff(limitMs?: number): Promise<void>
  /** The cards go down first, so that no last packet gets out; then everything dies without a word. */
  cutPower(): Promise<void>
  linkDown(): Promise<void>
  linkUp(): Promise<void>
  /** Runs a program in it as its root user, whatever its exit code. */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<CommandResult>
  /** `systemctl reboot`; returns when it has booted again. */
  reboot(limitMs?: number): Promise<BootState>
  /** Cuts the power where it is on, and takes the machine away with its disk. */
  destroy(): Promise<void>
}

/** What systemd says at the end of a boot; `degraded`: some unit failed. */
export type BootState = 'running' | 'degraded'

export interface ExecOptions {
  /** @defaultValue 60000 */
  readonly timeoutMs?: number
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A machine whose kernel is this one: everything else is its own. */
export interface Container extends Machine {
  /** What `journalctl` says of its logs, read from outside. */
  journal(args?: readonly string[]): Promise<string>
  /** Process id of its systemd, seen from here; `undefined` while it is off. */
  leader(): Promise<number | undefined>
  /** A file of it as seen from here, while it runs. */
  path(inside: string): Promise<string>
}

/** A machine with a kernel of its own, on an emulated processor. */
export interface Emulated extends Machine {
  /** The points that the latest boot passed, in milliseconds since power-on or reset. */
  readonly timeline: readonly Stamp[]
}
