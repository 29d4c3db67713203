import { copyFile, mkdir, open, stat, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The file that the sidecar writes to by itself, so that it goes on when the agent is not there. */
export interface LogFile {
  /** A handle for a child's output. Close it after the start. */
  open(): Promise<{ readonly fd: number; readonly size: number; close(): Promise<void> }>
  size(): Promise<number>
  /** The last lines written after `offset`. */
  tail(offset: number): Promise<readonly string[]>
  /** Moves the content aside when it has grown too large; the writer goes on in the same file. */
  rotate(): Promise<void>
}

export interface LogFileOptions {
  readonly path: string
  /** @defaultValue 8 MiB */
  readonly maxBytes?: number
}

const tailBytes = 4096
const tailLines = 12
const lineLength = 300

/** A log file of bounded size, with one older copy beside it. */
export function createLogFile({ path, maxBytes = 8 * 2 ** 20 }: LogFileOptions): LogFile {
  return {
    async open() {
      await mkdir(dirname(path), { recursive: true, mode: 0o755 })
      const file = await open(path, 'a', 0o640)
      return { fd: file.fd, size: (await file.stat()).size, close: () => file.close() }
    },
    size: async () => (await stat(path).catch(() => undefined))?.size ?? 0,
    async tail(offset) {
      const file = await open(path, 'r').catch(() => undefined)
      if (file === undefined) return []
      try {
        const { size } = await file.stat()
        // Smaller than it was: rotated meanwhile, and everything in it is new.
        const start = Math.max(size < offset ? 0 : offset, size - tailBytes)
        const { buffer, bytesRead } = await file.read(Buffer.alloc(tailBytes), 0, tailBytes, start)
        return lastLines(buffer.toString('utf8', 0, bytesRead))
      } finally {
        await file.close()
      }
    },
    async rotate() {
      const info = await stat(path).catch(() => undefined)
      if (info === undefined || info.size <= maxBytes) return
      // The writer holds the file open for appending: it is copied and emptied, not renamed.
      await copyFile(path, `${path}.1`)
      await truncate(path, 0)
    },
  }
}

/** The lines worth showing: not empty, not endless, the last few. */
export function lastLines(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .slice(-tailLines)
    .map((line) => (line.length > lineLength ? `${line.slice(0, lineLength)}…` : line))
}
