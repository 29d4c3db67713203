import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Ids of the VMs that have a WorkloadEntry in the folder that istiod reads, sorted; each as often as it is there. */
export async function entriesIn(dataDir: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const file of await readdir(dataDir, { recursive: true })) {
    if (!/config\/.*WorkloadEntry.*\.yaml$/.test(file)) continue
    const text = await readFile(join(dataDir, file), 'utf8')
    for (const [, id] of text.matchAll(/"name": ?"(vm-[0-9a-f]{20})"/g)) if (id !== undefined) found.push(id)
  }
  return found.sort()
}
