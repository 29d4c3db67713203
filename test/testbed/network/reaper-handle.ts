import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TestbedError } from '../testbed-error.ts'
import type { Instance } from './instance.ts'

export interface ReaperHandle {
  /** Sends it home: the owner has taken the instance away itself. */
  dismiss(): Promise<void>
}

const program = fileURLToPath(new URL('./reaper.ts', import.meta.url))

/** Starts the reaper of an instance and returns when it stands ready. */
export async function startReaper(instance: Instance): Promise<ReaperHandle> {
  const child = spawn(process.execPath, [program, JSON.stringify(instance)], {
    detached: true,
    // Its own environment: test runners put loaders and coverage into NODE_OPTIONS, which would report to a dead parent.
    env: { PATH: process.env.PATH },
    cwd: '/',
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.stdin.on('error', () => {})
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('error', (cause) =>
      reject(new TestbedError('COMMAND_FAILED', `reaper: ${cause.message}`, cause)),
    )
    child.once('exit', (code) => reject(new TestbedError('COMMAND_FAILED', `the reaper ended with ${code}`)))
  })
  child.stdout.destroy()
  // Neither the reaper nor the pipe to it keeps the owner alive.
  child.unref()
  if ('unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref()
  return {
    async dismiss() {
      child.ref()
      child.stdin.end('closed\n')
      await exited
    },
  }
}
