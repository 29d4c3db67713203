import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const name = /"name": ?"(vm-[0-9a-f]{20})"/g

/** Ids of the VMs that have a WorkloadEntry in the folder that istiod reads, sorted; each as often as it is there. */
export async function entriesIn(dataDir: string): Promise<readonly string[]> {
  return (await documents(dataDir))
    .flatMap((text) => [...text.matchAll(name)].map(([, id = '']) => id))
    .sort()
}

/** The WorkloadEntry of a VM as istiod reads it; empty when there is none. */
export async function entryOf(dataDir: string, id: string): Promise<string> {
  return (await documents(dataDir)).find((text) => text.includes(`"${id}"`)) ?? ''
}

// Several share a file.
async function documents(dataDir: string): Promise<readonly string[]> {
  const files = (await readdir(dataDir, { recursive: true })).filter((file) =>
    /config\/.*WorkloadEntry.*\.yaml$/.test(file),
  )
  const texts = await Promise.all(files.map((file) => readFile(join(dataDir, file), 'utf8')))
  return texts.flatMap((text) => text.split(/^---$/m))
}
