import { readFileSync, watch } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileName, parseFile } from '../../../controller/mesh/standalone/object-file.ts'
import { monotonicMs } from '../../world/watch/monotonic.ts'

/** When the controller wrote one VM's entry. */
export interface EntryWrites {
  /** When, after `since`, it was first written closed; rejects after a limit. */
  closed(since: number): Promise<number>
  end(): void
}

const limitMs = 60_000

/** Watches the file that holds the entry of a VM, below the folder that istiod reads; a write is a rename over it. */
export async function watchEntry(folder: string, namespace: string, vm: string): Promise<EntryWrites> {
  const name = fileName({ kind: 'WorkloadEntry', namespace, name: vm })
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const found = entries.find((entry) => entry.name === name)
  if (found === undefined) throw new Error(`there is no ${name} below ${folder}`)
  const file = join(found.parentPath, name)
  const writes: { readonly at: number; readonly closed: boolean }[] = []
  const waiting = new Set<() => void>()
  const watcher = watch(found.parentPath, (_, changed) => {
    if (changed !== name) return
    const at = monotonicMs()
    writes.push({ at, closed: isClosed(readFileSync(file, 'utf8'), vm) })
    for (const look of waiting) look()
  })
  return {
    closed(since) {
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(limit)
          waiting.delete(look)
        }
        const look = () => {
          const write = writes.find(({ at, closed }) => at > since && closed)
          if (write === undefined) return
          settle()
          resolve(write.at)
        }
        const limit = setTimeout(() => {
          settle()
          reject(new Error(`the entry of ${vm} was not closed within ${limitMs} ms`))
        }, limitMs)
        waiting.add(look)
        look()
      })
    },
    end: () => watcher.close(),
  }
}

/** Whether the text of a file of entries says that this VM is not healthy. */
export function isClosed(text: string, vm: string): boolean {
  const entry = parseFile(text)?.find(({ object }) => object.metadata.name === vm)
  const { conditions = [] } = (entry?.object.status ?? {}) as {
    conditions?: readonly { type: string; status: string }[]
  }
  return conditions.some(({ type, status }) => type === 'Healthy' && status === 'False')
}
