import { closeSync, openSync, renameSync, statSync, writeSync } from 'node:fs'

/** Keeps what a child prints: in a file of bounded size, and its last lines for crash reports. */
export interface OutputLog {
  write(chunk: Buffer): void
  tail(): readonly string[]
  close(): void
}

export interface OutputLogDeps {
  readonly file: string
  /** Called with every whole line. */
  readonly onLine?: (line: string) => void
  /** The file is renamed to `<file>.1` when it is larger. @defaultValue 8 MiB */
  readonly maxBytes?: number
}

const tailLines = 40
const maxLine = 2048

export function createOutputLog(deps: OutputLogDeps): OutputLog {
  const { file, onLine, maxBytes = 8 * 1024 * 1024 } = deps
  const lines: string[] = []
  let descriptor = openSync(file, 'a', 0o600)
  let size = statSync(file).size
  let rest = ''
  let open = true

  function rotate(): void {
    closeSync(descriptor)
    renameSync(file, `${file}.1`)
    descriptor = openSync(file, 'a', 0o600)
    size = 0
  }

  return {
    write(chunk) {
      try {
        if (size + chunk.length > maxBytes) rotate()
        size += writeSync(descriptor, chunk)
      } catch {
        // A full disk must not take istiod's supervision with it; the tail stays.
      }
      const parts = (rest + chunk.toString('utf8')).split('\n')
      rest = (parts.pop() ?? '').slice(0, maxLine)
      for (const part of parts) {
        const line = part.slice(0, maxLine)
        lines.push(line)
        onLine?.(line)
      }
      lines.splice(0, lines.length - tailLines)
    },
    tail: () => [...lines, ...(rest === '' ? [] : [rest])],
    close() {
      if (open) closeSync(descriptor)
      open = false
    },
  }
}
