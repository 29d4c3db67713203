import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Namespace } from '../../testbed/network/namespace.ts'
import { parseMemory } from '../process-memory.ts'
import { parseCpuSeconds } from '../process-time.ts'

/** The istiod that a controller runs, from outside. */
export interface IstiodProcess {
  readonly pid: number
  /** Folder whose files it reads, all of them at every change. */
  readonly objects: string
  readonly monitoring: string
  cpuSeconds(): Promise<number>
  residentKb(): Promise<number>
}

/** Finds it among the processes of the namespace where the controller runs. */
export async function findIstiod(host: Pick<Namespace, 'pids'>): Promise<IstiodProcess> {
  for (const pid of await host.pids()) {
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    if (command[1] !== 'discovery') continue
    const argument = (name: string) => command[command.indexOf(name) + 1] ?? ''
    return {
      pid,
      objects: await objectsOf(argument('--meshConfig')),
      monitoring: argument('--monitoringAddr'),
      residentKb: async () => parseMemory(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')).residentKb,
      cpuSeconds: async () => parseCpuSeconds(await readFile(`/proc/${pid}/stat`, 'utf8')),
    }
  }
  throw new Error('there is no istiod')
}

async function objectsOf(meshConfigFile: string): Promise<string> {
  const config = JSON.parse(await readFile(meshConfigFile, 'utf8')) as {
    configSources: { address: string }[]
  }
  const address = config.configSources[0]?.address ?? ''
  if (!address.startsWith('fs://')) throw new Error(`istiod reads no folder but ${address}`)
  return address.slice('fs://'.length)
}

/** Files and bytes below a folder: what one reload reads. */
export async function contentOf(folder: string): Promise<{ files: number; bytes: number }> {
  const sum = { files: 0, bytes: 0 }
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    sum.files++
    sum.bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return sum
}
