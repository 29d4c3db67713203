import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = '/sys/fs/cgroup'
const removalLimitMs = 15_000
const pollMs = 50

/** Makes the control group that everything of a node's pods is below of, in each hierarchy of this machine. */
export async function createNodeGroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const group = join(hierarchy, name)
    await mkdir(group, { recursive: true })
    // Of version 1: no process may enter a group that was not given processors and memory.
    for (const file of ['cpuset.mems', 'cpuset.cpus']) {
      if (!existsSync(join(group, file))) continue
      await writeFile(join(group, file), await readFile(join(hierarchy, file), 'utf8'))
    }
  }
}

/** Ends what is left in the group and takes it away, which takes a moment after its processes ended. */
export async function removeNodeGroups(name: string): Promise<void> {
  const end = performance.now() + removalLimitMs
  for (const hierarchy of await hierarchies()) {
    const group = join(hierarchy, name)
    while (existsSync(group) && performance.now() < end) {
      await removeTree(group).catch(() => sleep(pollMs))
    }
  }
}

/** The control groups of that name which exist. */
export async function nodeGroups(name: string): Promise<readonly string[]> {
  return (await hierarchies()).map((hierarchy) => join(hierarchy, name)).filter((group) => existsSync(group))
}

/** With version 2 there is one, with version 1 one for each controller. */
async function hierarchies(): Promise<readonly string[]> {
  if (existsSync(join(root, 'cgroup.controllers'))) return [root]
  const names = await readdir(root).catch(() => [])
  return names.map((name) => join(root, name)).filter((path) => existsSync(join(path, 'cgroup.procs')))
}

async function removeTree(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true }))
    if (entry.isDirectory()) await removeTree(join(group, entry.name))
  for (const pid of (await readFile(join(group, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // Ended meanwhile.
    }
  }
  await rmdir(group)
}
