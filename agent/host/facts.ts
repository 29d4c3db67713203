import { readFile } from 'node:fs/promises'
import { arch, hostname, networkInterfaces } from 'node:os'
import type { JoinFacts, Nic } from '../../shared/api/join.ts'

const goArch: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/** This machine's architecture by Go's name. */
export function machineArch(): string {
  return goArch[arch()] ?? arch()
}

/** Milliseconds since boot, by the kernel's own account: what runtimes offer is as coarse as a second. */
export async function uptimeMs(): Promise<number> {
  return Math.round(Number.parseFloat(await readFile('/proc/uptime', 'utf8')) * 1000)
}

/** What the agent says of the machine when it joins; cheap. */
export async function joinFacts(agentVersion: string, bootId: string): Promise<JoinFacts> {
  return { hostname: hostname().slice(0, 253), arch: machineArch(), bootId, agentVersion, nics: nics() }
}

/** The machine's addresses but those of loopback. */
export function nics(): Nic[] {
  const found: Nic[] = []
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address, internal, cidr } of addresses ?? []) {
      const prefix = Number(cidr?.split('/')[1])
      if (internal || !Number.isInteger(prefix)) continue
      // A zone, as in fe80::1%eth0, is no part of the address.
      const [bare = ''] = address.split('%')
      found.push({ interface: name.slice(0, 15), address: bare, prefix })
    }
  }
  return found.slice(0, 64)
}

/**
 * What people like to know of a machine, flat. Slow and large: call it in a process of its own, once.
 */
export async function machineFacts(): Promise<Record<string, string>> {
  const { system, osInfo, cpu, mem, uuid } = await import('systeminformation')
  const [machine, os, processor, memory, ids] = await Promise.all([system(), osInfo(), cpu(), mem(), uuid()])
  const facts: Record<string, string | number> = {
    'machine.manufacturer': machine.manufacturer,
    'machine.model': machine.model,
    'machine.virtual': String(machine.virtual ?? false),
    'machine.uuid': ids.hardware,
    'os.distro': os.distro,
    'os.release': os.release,
    'os.kernel': os.kernel,
    'cpu.brand': processor.brand,
    'cpu.cores': processor.cores,
    'memory.mb': Math.round(memory.total / 2 ** 20),
  }
  return Object.fromEntries(
    Object.entries(facts)
      .map(([name, value]): [string, string] => [name, String(value).slice(0, 256)])
      .filter(([, value]) => value !== ''),
  )
}
