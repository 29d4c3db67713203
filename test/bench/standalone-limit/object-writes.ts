import { readFileSync, watch } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { monotonicMs } from '../../world/watch/monotonic.ts'

/** When the controller wrote one object. */
export interface ObjectWrites {
  /** The first write after `since` whose text fits; rejects after the limit. */
  next(since: number, fits: (text: string) => boolean): Promise<number>
  close(): void
}

const limitMs = 60_000

/** Watches the file of an object, wherever it lies below the folder; a write is a rename over it. */
export async function watchObject(folder: string, fileName: string): Promise<ObjectWrites> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const found = entries.find((entry) => entry.name === fileName)
  if (found === undefined) throw new Error(`there is no ${fileName} below ${folder}`)
  const file = join(found.parentPath, fileName)
  const writes: { at: number; text: string }[] = []
  const waiting = new Set<() => void>()
  const watcher = watch(found.parentPath, (_, name) => {
    if (name !== fileName) return
    writes.push({ at: monotonicMs(), text: readFileSync(file, 'utf8') })
    for (const look of waiting) look()
  })
  return {
    next(since, fits) {
      return new Promise((resolve, reject) => {
        const settle = () => {
          clearTimeout(limit)
          waiting.delete(look)
        }
        const look = () => {
          const write = writes.find(({ at, text }) => at > since && fits(text))
          if (write === undefined) return
          settle()
          resolve(write.at)
        }
        const limit = setTimeout(() => {
          settle()
          reject(new Error(`${fileName} was not written within ${limitMs} ms`))
        }, limitMs)
        waiting.add(look)
        look()
      })
    },
    close: () => watcher.close(),
  }
}
