import { chmod, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mustRun } from '../command.ts'
import { TestbedError } from '../testbed-error.ts'
import {
  type Bridge,
  bridgeHardwareAddress,
  lastVmIndex,
  networks,
  uplinkAddresses,
  vmAddress,
} from './addresses.ts'
import { claimInstance, type Instance, lowestFree, namespaceName, uplinkName } from './instance.ts'
import { hasIpv6, ipBatch, setKernel } from './ip.ts'
import { createNamespace, type Namespace } from './namespace.ts'
import { identifyProcess } from './process-identity.ts'
import { startReaper } from './reaper-handle.ts'
import { collectStale, removeInstance } from './removal.ts'
import { createVm, nic, type Vm } from './vm.ts'

/** An isolated world: a host for controller and istiod, VMs on its bridges, and one link to where tests run. */
export interface Network {
  readonly id: string
  /** Where controller and istiod run. */
  readonly host: Namespace
  /** Folder for the host's files; mode 0755. */
  readonly hostDir: string
  /** Where VMs reach the host. */
  readonly hostAddress: string
  readonly hostAddress6: string
  /** The link to the root namespace: tests reach the host at `inside`. */
  readonly uplink: { readonly outside: string; readonly inside: string; readonly prefix: number }
  /** Folder of everything on disk; mode 0755. */
  readonly tempDir: string
  readonly vms: readonly Vm[]
  addVm(name: string, options?: VmOptions): Promise<Vm>
  /** Ends all processes (SIGTERM, patience, SIGKILL) and takes everything away; may be called twice. */
  close(): Promise<void>
}

export interface VmOptions {
  /** Decides the addresses: 10.77.0.<10+index>. @defaultValue the lowest free one */
  readonly index?: number
  /** IPv4 address of `eth0` instead; also one that a dead VM has, as long as its link is down. */
  readonly address?: string
  /** Further cards, `eth1` and on. */
  readonly extraNics?: readonly { readonly bridge: Bridge; readonly address?: string }[]
  /** Lines of the hosts file. @defaultValue istiod's name at the host's address */
  readonly hosts?: readonly string[]
}

export interface NetworkDeps {
  /** Shows in the names of namespaces. @defaultValue `testbed` */
  readonly name?: string
  /** Aborts the making of it; what exists then is taken away. Afterwards `close` ends it. */
  readonly signal?: AbortSignal
}

const endGraceMs = 5_000
const istiodNames = 'istiod.istio-system.svc istiod.istio-system.svc.cluster.local'

/** Makes a network, after taking away those whose owner is gone. A reaper ends it when this process dies. */
export async function createNetwork(deps: NetworkDeps = {}): Promise<Network> {
  const { signal } = deps
  if (process.getuid?.() !== 0) throw new TestbedError('NEEDS_ROOT')
  await collectStale()
  const owner = await identifyProcess(process.pid)
  if (owner === undefined) throw new TestbedError('NEEDS_LINUX', 'there is no /proc')
  const name = (deps.name ?? 'testbed').replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 32)
  const instance = await claimInstance({ name, owner, tempRoot: tmpdir(), signal })
  const reaper = await startReaper(instance)
  try {
    await createHost(instance, signal)
  } catch (error) {
    await removeInstance(instance, 0)
    await reaper.dismiss()
    throw error
  }

  const host = createNamespace({ name: namespaceName(instance, 'host') })
  const vms = new Map<string, Vm>()
  // Names and addresses of VMs being made: several may be, side by side.
  const reserved = new Map<string, readonly string[]>()
  let sequence = 0
  let closing: Promise<void> | undefined

  async function addVm(vmName: string, options: VmOptions = {}): Promise<Vm> {
    if (closing !== undefined) throw new TestbedError('NETWORK_CLOSED')
    if (vms.has(vmName) || reserved.has(vmName)) throw new TestbedError('ADDRESS_IN_USE', vmName)
    const taken = new Set(
      [...vms.values()]
        .filter((vm) => vm.connected)
        .flatMap((vm) => vm.nics.map((each) => each.address))
        .concat([...reserved.values()].flat()),
    )
    const nics = chooseNics(options, taken, [...vms.values()])
    const conflict = nics.find((each) => taken.has(each.address))
    if (conflict !== undefined) throw new TestbedError('ADDRESS_IN_USE', conflict.address)
    reserved.set(
      vmName,
      nics.map((each) => each.address),
    )
    try {
      const vm = await createVm({
        name: vmName,
        namespace: namespaceName(instance, vmName),
        hostNamespace: namespaceName(instance, 'host'),
        root: join(instance.tempDir, vmName),
        nics,
        hosts: options.hosts ?? [`${networks.brm.host} ${istiodNames}`],
        sequence: sequence++,
        signal,
        onDestroyed: () => vms.delete(vmName),
      })
      vms.set(vmName, vm)
      return vm
    } finally {
      reserved.delete(vmName)
    }
  }

  async function close(): Promise<void> {
    await Promise.all([host, ...vms.values()].map((namespace) => namespace.endAll(endGraceMs)))
    await removeInstance(instance, endGraceMs)
    await reaper.dismiss()
    vms.clear()
  }

  return {
    id: instance.id,
    host,
    hostDir: join(instance.tempDir, 'host'),
    hostAddress: networks.brm.host,
    hostAddress6: networks.brm.host6,
    uplink: uplinkAddresses(instance.number),
    tempDir: instance.tempDir,
    get vms() {
      return [...vms.values()]
    },
    addVm,
    close() {
      closing ??= close()
      return closing
    },
  }
}

function chooseNics(options: VmOptions, taken: ReadonlySet<string>, existing: readonly Vm[]) {
  // A new VM gets no dead one's address by chance; that is asked for.
  const everUsed = new Set([...taken, ...existing.flatMap((vm) => vm.nics.map((each) => each.address))])
  const isUsed = (index: number) =>
    everUsed.has(vmAddress('brm', index)) || everUsed.has(vmAddress('brs', index))
  const used = new Set(Array.from({ length: lastVmIndex + 1 }, (_, index) => index).filter(isUsed))
  const index = options.index ?? lowestFree(used, lastVmIndex) ?? lastVmIndex
  const extra = (options.extraNics ?? []).map((card, i) =>
    nic(`eth${i + 1}`, card.bridge, card.address ?? vmAddress(card.bridge, index)),
  )
  return [nic('eth0', 'brm', options.address ?? vmAddress('brm', index)), ...extra]
}

async function createHost(instance: Instance, signal: AbortSignal | undefined): Promise<void> {
  const host = namespaceName(instance, 'host')
  const uplink = uplinkName(instance)
  const { outside, inside, prefix } = uplinkAddresses(instance.number)
  const dir = join(instance.tempDir, 'host')
  await mkdir(dir)
  await chmod(dir, 0o755)
  await mustRun('ip', ['netns', 'add', host], signal === undefined ? {} : { signal })
  // A new namespace inherits the machine's setting. The host is no router: a VM's packet must never get out of this
  // world by the uplink, and VMs on one bridge only must not reach the other one.
  await setKernel(host, { 'ipv4.ip_forward': '0' }, signal)
  await ipBatch(
    [
      `link add ${uplink} type veth peer name uplink netns ${host}`,
      `addr add ${outside}/${prefix} dev ${uplink}`,
      `link set ${uplink} up`,
    ],
    { signal },
  )
  await ipBatch(
    [
      'link set lo up',
      `addr add ${inside}/${prefix} dev uplink`,
      'link set uplink up',
      ...bridgeLines('brm'),
      ...bridgeLines('brs'),
    ],
    { namespace: host, signal },
  )
  await setKernel(host, { 'ipv4.neigh.brm.locktime': '0', 'ipv4.neigh.brs.locktime': '0' }, signal)
}

function bridgeLines(bridge: Bridge): readonly string[] {
  const { host, host6, prefix, prefix6 } = networks[bridge]
  return [
    `link add ${bridge} address ${bridgeHardwareAddress(bridge)} type bridge mcast_snooping 0`,
    `addr add ${host}/${prefix} dev ${bridge}`,
    ...(hasIpv6() ? [`addr add ${host6}/${prefix6} dev ${bridge} nodad`] : []),
    `link set ${bridge} up`,
  ]
}
