import { spawn } from 'node:child_process'

export interface ExecOptions {
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  /** What the program reads as its standard input. @defaultValue nothing */
  readonly input?: string
  /** Bytes kept of each stream; what comes after is read and dropped. @defaultValue 256 KiB */
  readonly maxOutput?: number
}

export interface ExecResult {
  /** Exit code; 127 when the program could not be started, null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
}

/** Runs a program to its end; what `exec` does, as a type for those who are handed it. */
export type Exec = (command: string, args: readonly string[], options: ExecOptions) => Promise<ExecResult>

/** How long the output may stay open after the program's end: what still holds it has left its group. */
const outputMs = 1_000
/** How long the kernel has to end what was killed; a program that waits for a dead disk goes on for ever. */
const killedMs = 2_000

/**
 * Runs a program without a shell, in a process group of its own, which is killed as a whole when the time is
 * over or `signal` aborts. Rejects only when aborted, with the signal's reason. Never waits for a descendant that
 * has left the group.
 */
export const exec: Exec = (command, args, options) =>
  new Promise((resolve, reject) => {
    const { signal, maxOutput = 256 * 1024 } = options
    if (signal?.aborted) return reject(signal.reason)
    const child = spawn(command, args, {
      cwd: options.cwd ?? '/',
      env: { ...options.env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    })
    const stdout = collect(child.stdout, maxOutput)
    const stderr = collect(child.stderr, maxOutput)
    // A program that ends before it has read all breaks the pipe; its exit code says more than that.
    child.stdin.on('error', () => {}).end(options.input)
    let timedOut = false
    let late: NodeJS.Timeout | undefined
    const finishWithin = (ms: number, code: number | null, ended: NodeJS.Signals | null) => {
      clearTimeout(late)
      // Whoever was held up that long reads what is there before the time counts as over.
      late = setTimeout(() => setImmediate(() => finish(code, ended)), ms)
    }
    const kill = () => {
      killGroup(child.pid)
      finishWithin(killedMs, null, 'SIGKILL')
    }
    const timer = setTimeout(() => {
      timedOut = true
      kill()
    }, options.timeoutMs)
    signal?.addEventListener('abort', kill, { once: true })

    const finish = (code: number | null, ended: NodeJS.Signals | null, problem?: Error) => {
      clearTimeout(timer)
      clearTimeout(late)
      signal?.removeEventListener('abort', kill)
      // Else whoever still holds the other ends keeps them, and this process, open.
      for (const stream of child.stdio) stream?.destroy()
      if (signal?.aborted) return reject(signal.reason)
      resolve({ code, signal: ended, stdout: stdout(), stderr: problem?.message ?? stderr(), timedOut })
    }
    child.once('error', (error) => finish(127, null, error))
    child.once('exit', (code, ended) => finishWithin(outputMs, code, ended))
    child.once('close', (code, ended) => finish(code, ended))
  })

function collect(stream: NodeJS.ReadableStream, max: number): () => string {
  const chunks: Buffer[] = []
  let left = max
  stream.on('data', (chunk: Buffer) => {
    if (left <= 0) return
    const kept = chunk.subarray(0, left)
    left -= kept.length
    chunks.push(kept)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}
