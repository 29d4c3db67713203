import { randomBytes } from 'node:crypto'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun, runCommand } from '../command.ts'
import { type Bridge, networks, vmAddress6 } from './addresses.ts'
import { forwarding, hasIpv6, ipBatch, setKernel } from './ip.ts'
import { createNamespace, type Namespace } from './namespace.ts'

export interface Nic {
  /** Its name inside the VM. */
  readonly name: string
  readonly bridge: Bridge
  readonly address: string
  readonly address6: string
}

/** A stand-in for a virtual machine: network cards, a hosts file of its own, a folder as its file system. */
export interface Vm extends Omit<Namespace, 'name'> {
  readonly name: string
  /** The namespace's name. */
  readonly namespace: string
  /** IPv4 address of `eth0`. */
  readonly address: string
  readonly address6: string
  readonly nics: readonly Nic[]
  /** The folder that stands for its file system; mode 0755. */
  readonly root: string
  /** Whether its links are up. */
  readonly connected: boolean
  /** Pulls the plug of the network cards (or of one): nothing gets in or out, and no process is told. */
  linkDown(nic?: string): Promise<void>
  linkUp(nic?: string): Promise<void>
  /** What a power cut is to others: the links go down first, so that no last packet gets out, then everything dies. */
  cutPower(): Promise<void>
  /** Ends its processes and takes it away with its files. */
  destroy(): Promise<void>
}

export interface VmDeps {
  readonly name: string
  readonly namespace: string
  readonly hostNamespace: string
  readonly root: string
  readonly nics: readonly Nic[]
  /** Lines of the VM's hosts file after `localhost`. */
  readonly hosts: readonly string[]
  /** A number no other VM of the network had, for the names of links in the host namespace. */
  readonly sequence: number
  readonly signal?: AbortSignal | undefined
  readonly onDestroyed: () => void
}

/** Makes the namespace, links and files of a VM. */
export async function createVm(deps: VmDeps): Promise<Vm> {
  const { namespace, hostNamespace, nics, root, signal } = deps
  const portOf = (nic: Nic) => `${nic.name}v${deps.sequence}`
  const inner = createNamespace({
    name: namespace,
    machine: {
      hostname: deps.name,
      replacedFiles: ['hosts', 'resolv.conf'].map((file) => ({
        path: `/etc/${file}`,
        by: join(root, 'etc', file),
      })),
    },
  })
  let connected = true
  let destroying: Promise<void> | undefined

  try {
    await createFiles(root, deps.hosts)
    await createLinks()
  } catch (error) {
    await removeAll()
    throw error
  }

  async function setLinks(state: 'up' | 'down', only: string | undefined): Promise<void> {
    const chosen = nics.filter((nic) => only === undefined || nic.name === only)
    await ipBatch(
      chosen.map((nic) => `link set ${portOf(nic)} ${state}`),
      { namespace: hostNamespace },
    )
    if (state === 'up') await forwarding(hostNamespace, chosen.map(portOf))
    if (only === undefined || only === 'eth0') connected = state === 'up'
  }

  const first = nics[0] as Nic
  const { name: _, ...rest } = inner
  return {
    ...rest,
    name: deps.name,
    namespace,
    address: first.address,
    address6: first.address6,
    nics,
    root,
    get connected() {
      return connected
    },
    linkDown: (nic) => setLinks('down', nic),
    linkUp: (nic) => setLinks('up', nic),
    async cutPower() {
      await setLinks('down', undefined)
      await inner.killAll()
    },
    destroy() {
      destroying ??= inner.endAll().then(removeAll).then(deps.onDestroyed)
      return destroying
    },
  }

  async function createLinks(): Promise<void> {
    await mustRun('ip', ['netns', 'add', namespace], signal === undefined ? {} : { signal })
    await ipBatch(
      nics.flatMap((nic) => [
        `link add ${portOf(nic)} type veth peer name ${nic.name} netns ${namespace}`,
        `link set ${portOf(nic)} master ${nic.bridge} up`,
      ]),
      { namespace: hostNamespace, signal },
    )
    await setKernel(namespace, kernelSettings(nics), signal)
    await ipBatch(['link set lo up', ...nics.flatMap(addressLines), ...defaultRoutes()], {
      namespace,
      signal,
    })
    await forwarding(hostNamespace, nics.map(portOf))
    await ipBatch(
      nics.map((nic) => `link set ${nic.name} address ${randomHardwareAddress()}`),
      { namespace, signal },
    )
  }

  async function removeAll(): Promise<void> {
    // The links first: they would go with the namespace, but only some time later, and an address may be used again.
    // What fails here was not made, or went with the network.
    for (const nic of nics) await runCommand('ip', ['-n', hostNamespace, 'link', 'del', portOf(nic)])
    await runCommand('ip', ['netns', 'del', namespace])
    await rm(root, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function createFiles(root: string, hosts: readonly string[]): Promise<void> {
  const etc = join(root, 'etc')
  await mkdir(etc, { recursive: true })
  for (const dir of [root, etc]) await chmod(dir, 0o755)
  await writeFile(join(etc, 'hosts'), ['127.0.0.1 localhost', '::1 localhost', ...hosts, ''].join('\n'))
  // Nobody answers there: a lookup that the sidecar's DNS does not answer fails at once, and never leaves the machine.
  await writeFile(join(etc, 'resolv.conf'), `nameserver ${networks.brm.host}\noptions timeout:1 attempts:1\n`)
}

// Like a machine that boots, a VM announces its addresses, for neighbours may still know the hardware address of one
// that died, and would for a minute. The kernel does so when a card goes up, but the bridge's port forwards only a
// moment later and drops it; and when the hardware address changes, which is therefore done once the port forwards.
function kernelSettings(nics: readonly Nic[]): Record<string, string> {
  const settings: Record<string, string> = { 'ipv4.ip_forward': '0' }
  for (const nic of nics) {
    settings[`ipv4.conf.${nic.name}.arp_notify`] = '1'
    // By default news about a neighbour that was met less than a second ago are not believed.
    settings[`ipv4.neigh.${nic.name}.locktime`] = '0'
    if (hasIpv6()) settings[`ipv6.conf.${nic.name}.ndisc_notify`] = '1'
  }
  return settings
}

function randomHardwareAddress(): string {
  const bytes = [...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0'))
  return ['02', ...bytes].join(':')
}

function addressLines(nic: Nic): readonly string[] {
  const { prefix, prefix6 } = networks[nic.bridge]
  const ipv6 = hasIpv6() ? [`addr add ${nic.address6}/${prefix6} dev ${nic.name} nodad`] : []
  return [`addr add ${nic.address}/${prefix} dev ${nic.name}`, ...ipv6, `link set ${nic.name} up`]
}

function defaultRoutes(): readonly string[] {
  const ipv6 = hasIpv6() ? [`route add default via ${networks.brm.host6}`] : []
  return [`route add default via ${networks.brm.host}`, ...ipv6]
}

/** A network card's two addresses, from the IPv4 one. */
export function nic(name: string, bridge: Bridge, address: string): Nic {
  return { name, bridge, address, address6: vmAddress6(bridge, address) }
}
