import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** A TCP port on which something listens. */
export interface Listener {
  readonly port: number
  readonly uid: number
  readonly inode: number
}

const listenState = '0A'

/** Listening sockets of /proc/net/tcp or tcp6 (proc_net_tcp in the kernel's documentation). */
export function parseListeners(text: string): readonly Listener[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === listenState)
    .map((fields) => ({
      port: Number.parseInt(fields[1]?.split(':').at(-1) ?? '', 16),
      uid: Number(fields[7]),
      inode: Number(fields[9]),
    }))
}

/** Everything that listens in this network namespace. */
export async function listeners(proc: string): Promise<readonly Listener[]> {
  const texts = await Promise.all(
    ['net/tcp', 'net/tcp6'].map((name) => readFile(join(proc, name), 'utf8').catch(() => '')),
  )
  return texts.flatMap(parseListeners)
}

/** Name and id of the process that has this socket open; undefined when it cannot be found out. */
export async function ownerOf(proc: string, inode: number): Promise<string | undefined> {
  const wanted = `socket:[${inode}]`
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const folder = join(proc, pid, 'fd')
    for (const fd of await readdir(folder).catch(() => [])) {
      if ((await readlink(join(folder, fd)).catch(() => '')) !== wanted) continue
      const name = await readFile(join(proc, pid, 'comm'), 'utf8').catch(() => '?')
      return `${name.trim()} (pid ${pid})`
    }
  }
  return undefined
}
