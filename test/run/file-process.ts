import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestFile } from './selection.ts'
import { type Tally, tally } from './tally.ts'
import { createTapReader } from './tap-reader.ts'

export interface FileProcessDeps {
  /** The runtime, which runs `.ts` as it is. */
  readonly node: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** How long a file may live on after its last test. @defaultValue 20000 */
  readonly lingerMs?: number
  /** Called with the names of the tests that are open, whenever they change. */
  readonly onProgress?: (path: string, open: readonly string[]) => void
}

const tailLines = 60
const graceMs = 10_000
/** Longer than any stall of a busy machine: after one, timers come before what waits in the pipes. */
const drainMs = 20_000

/**
 * Runs one test file as a process of its own, in a process group of its own, and counts what it reports. A file
 * that hangs, lingers after its last test or leaves processes behind is stopped and fails.
 */
export async function runFile(file: TestFile, deps: FileProcessDeps, signal: AbortSignal): Promise<Tally> {
  const { node, env, cwd, lingerMs = 20_000 } = deps
  const reader = createTapReader(file.path)
  const tail: string[] = []
  const errorTail: string[] = []
  let stopped: string | undefined
  let linger: NodeJS.Timeout | undefined

  const child = spawn(node, [file.path], {
    cwd,
    // The file's own limit comes first: it names the test that hangs.
    env: { ...env, TAP_TIMEOUT: String(Math.max(1, file.limitSeconds - 15)), NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const { pid } = child
  const stop = (why: string) => {
    stopped ??= why
    if (pid !== undefined) void endGroup(pid)
  }
  const limit = setTimeout(
    () => stop(`it did not end within ${file.limitSeconds} s and was stopped`),
    file.limitSeconds * 1000,
  )
  const onAbort = () => stop('the run was interrupted')
  signal.addEventListener('abort', onAbort, { once: true })

  const lines = [
    eachLine(child.stdout, (line) => {
      keep(tail, line)
      reader.line(line)
      deps.onProgress?.(file.path, reader.open())
      if (reader.complete()) {
        linger ??= setTimeout(
          () => stop('it did not end after its last test: something is still open'),
          lingerMs,
        )
      }
    }),
    eachLine(child.stderr, (line) => {
      keep(tail, line)
      keep(errorTail, line)
    }),
  ]
  const ended = await new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('error', (error) => {
      keep(tail, String(error))
      resolve({ code: -1, signal: null })
    })
    child.once('exit', (code, ended) => resolve({ code, signal: ended }))
  })
  clearTimeout(limit)
  clearTimeout(linger)
  signal.removeEventListener('abort', onAbort)
  if (pid !== undefined && (await leftBehind(pid))) stopped ??= 'it left processes behind, which were ended'
  // A process that left the group may hold the pipes open for ever.
  const drained = setTimeout(() => {
    stopped ??= 'it left a process behind that holds its output open'
    child.stdout.destroy()
    child.stderr.destroy()
  }, drainMs)
  await Promise.all(lines)
  clearTimeout(drained)
  return tally(reader.root, {
    ...ended,
    ...(stopped === undefined ? {} : { stopped }),
    during: reader.open(),
    tail: tail.join('\n'),
    errorTail: errorTail.join('\n'),
  })
}

function keep(lines: string[], line: string): void {
  lines.push(line)
  if (lines.length > tailLines) lines.shift()
}

function eachLine(stream: Readable, take: (line: string) => void): Promise<void> {
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })
  lines.on('line', take)
  return new Promise((resolve) => {
    lines.once('close', resolve)
    stream.once('close', () => lines.close())
  })
}

/** Ends what the file left in its process group; true when there was something that did not go by itself. */
async function leftBehind(pid: number): Promise<boolean> {
  for (let waited = 0; waited < graceMs; waited += 50) {
    if (!signalGroup(pid, 0)) return false
    await sleep(50)
  }
  await endGroup(pid)
  return true
}

async function endGroup(pid: number): Promise<void> {
  signalGroup(pid, 'SIGTERM')
  for (let waited = 0; waited < graceMs; waited += 100) {
    if (!signalGroup(pid, 0)) return
    await sleep(100)
  }
  signalGroup(pid, 'SIGKILL')
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}
