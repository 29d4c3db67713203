import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** A port on which something listens. */
export interface Listener {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** On which addresses: all of this machine, 127.0.0.1 or ::1, or others. */
  readonly reach: 'all' | 'loopback' | 'elsewhere'
  readonly uid: number
  readonly inode: number
}

/** State of a socket that waits for peers: TCP_LISTEN; for UDP, which has no such state, TCP_CLOSE. */
const waiting = { tcp: '0A', udp: '07' } as const

/** 127.0.0.1, ::1 and ::ffff:127.0.0.1 as the kernel prints them: in words of four bytes, lowest byte first. */
const loopback: ReadonlySet<string> = new Set([
  '0100007F',
  '00000000000000000000000001000000',
  '0000000000000000FFFF00000100007F',
])

/** Listening sockets of a file of /proc/net (proc_net_tcp in the kernel's documentation). */
export function parseListeners(text: string, protocol: Listener['protocol'] = 'tcp'): readonly Listener[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === waiting[protocol])
    .map((fields): Listener => {
      const [address = '', port = ''] = fields[1]?.split(':') ?? []
      return {
        protocol,
        port: Number.parseInt(port, 16),
        reach: reachOf(address),
        uid: Number(fields[7]),
        inode: Number(fields[9]),
      }
    })
}

function reachOf(address: string): Listener['reach'] {
  if (/^0+$/.test(address)) return 'all'
  return loopback.has(address) ? 'loopback' : 'elsewhere'
}

/** Everything that listens in this network namespace. */
export async function listeners(proc: string): Promise<readonly Listener[]> {
  const found = await Promise.all(
    (['tcp', 'tcp6', 'udp', 'udp6'] as const).map(async (name) => {
      const text = await readFile(join(proc, 'net', name), 'utf8').catch(() => '')
      return parseListeners(text, name.startsWith('tcp') ? 'tcp' : 'udp')
    }),
  )
  return found.flat()
}

/** Name and id of the process that has this socket open; undefined when it cannot be found out. */
export async function ownerOf(proc: string, inode: number): Promise<string | undefined> {
  const pid = await holderOf(proc, inode)
  if (pid === undefined) return undefined
  const name = await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '?')
  return `${name.trim()} (pid ${pid})`
}

/** Path of the program that has this socket open; undefined when it cannot be found out. */
export async function programOf(proc: string, inode: number): Promise<string | undefined> {
  const pid = await holderOf(proc, inode)
  return pid === undefined ? undefined : readlink(join(proc, pid, 'exe')).catch(() => undefined)
}

async function holderOf(proc: string, inode: number): Promise<string | undefined> {
  const wanted = `socket:[${inode}]`
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const folder = join(proc, pid, 'fd')
    for (const fd of await readdir(folder).catch(() => [])) {
      if ((await readlink(join(folder, fd)).catch(() => '')) === wanted) return pid
    }
  }
  return undefined
}
