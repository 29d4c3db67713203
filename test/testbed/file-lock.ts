import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { TestbedError } from './testbed-error.ts'

export interface FileLock {
  release(): Promise<void>
}

/**
 * Waits for an exclusive lock between processes.
 *
 * The kernel holds it (flock) for a child that lives exactly as long as a pipe from this process: a lock whose owner
 * died in any way is free at once, so nothing has to guess whether a lock file is stale.
 */
export async function acquireFileLock(
  path: string,
  options: { readonly signal?: AbortSignal; readonly onWait?: () => void } = {},
): Promise<FileLock> {
  options.signal?.throwIfAborted()
  await mkdir(dirname(path), { recursive: true })
  const child = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // Out of the terminal's foreground group: Ctrl-C must not free the lock before this process is done.
    detached: true,
  })
  child.stdin.on('error', () => {})
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const waiting = options.onWait === undefined ? undefined : setTimeout(options.onWait, 500)
  const abort = () => {
    child.stdin.destroy()
    child.kill('SIGKILL')
  }
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve())
      child.once('error', (cause) =>
        reject(new TestbedError('PACKAGE_MISSING', `flock (package util-linux): ${cause.message}`, cause)),
      )
      child.once('exit', () => {
        const aborted = options.signal?.aborted === true
        reject(aborted ? options.signal?.reason : new TestbedError('CACHE_UNUSABLE', `cannot lock ${path}`))
      })
    })
  } finally {
    clearTimeout(waiting)
    options.signal?.removeEventListener('abort', abort)
  }
  return {
    async release() {
      // `cat` ends at the end of its input, and flock with it.
      child.stdin.end()
      await exited
    },
  }
}
