import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Namespace } from '../network/namespace.ts'
import { TestbedError } from '../testbed-error.ts'

/** A server of the testbed, which can be ended, paused and started again as faults do it. */
export interface Program {
  readonly name: string
  /** What it says, over all its starts. */
  readonly logFile: string
  /** `undefined` while it does not run. */
  readonly pid: number | undefined
  /** Starts it, or makes it go on; returns when it is ready. */
  start(): Promise<void>
  /** SIGTERM, then SIGKILL where that does not help; returns when it has ended. */
  stop(): Promise<void>
  /** SIGKILL; returns when it has ended. */
  kill(): Promise<void>
  /** SIGSTOP: it holds its connections and answers nothing. */
  pause(): void
  /** SIGCONT. */
  resume(): void
  /** `stop`, then `start`. */
  restart(): Promise<void>
}

export interface ProgramDeps {
  readonly name: string
  /** Where it runs. */
  readonly namespace: Pick<Namespace, 'spawn'>
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly logFile: string
  /** Whether it does its work; a throw counts as no. */
  readonly isReady: () => Promise<boolean>
  readonly signal?: AbortSignal | undefined
}

const readyLimitMs = 180_000
const stopLimitMs = 15_000
const pollMs = 50

/** Makes a program that does not run yet. */
export function createProgram(deps: ProgramDeps): Program {
  const { name, logFile, signal } = deps
  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    if (child === undefined) spawn()
    else child.kill('SIGCONT')
    const end = performance.now() + readyLimitMs
    while (!(await deps.isReady().catch(() => false))) {
      signal?.throwIfAborted()
      if (child === undefined) throw await failed('ended')
      if (performance.now() > end) throw await failed('is not ready')
      await sleep(pollMs, undefined, signal === undefined ? {} : { signal })
    }
  }

  function spawn(): void {
    const output = openSync(logFile, 'a')
    const started = deps.namespace.spawn(deps.command, deps.args, {
      stdio: ['ignore', output, output],
      cwd: '/',
      ...(deps.env === undefined ? {} : { env: deps.env }),
    })
    closeSync(output)
    child = started
    ended = new Promise((resolve) => {
      const end = () => {
        child = undefined
        resolve()
      }
      started.once('exit', end)
      started.once('error', end)
    })
  }

  async function failed(what: string): Promise<TestbedError> {
    const log = await readFile(logFile, 'utf8').catch(() => '')
    return new TestbedError(
      'PROGRAM_FAILED',
      `${name} ${what}\n${log.trimEnd().split('\n').slice(-15).join('\n')}`,
    )
  }

  async function stop(): Promise<void> {
    const over = ended
    child?.kill('SIGCONT')
    child?.kill('SIGTERM')
    const late = setTimeout(() => child?.kill('SIGKILL'), stopLimitMs)
    await over
    clearTimeout(late)
  }

  return {
    name,
    logFile,
    get pid() {
      return child?.pid
    },
    start,
    stop,
    async kill() {
      child?.kill('SIGKILL')
      await ended
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async restart() {
      await stop()
      await start()
    },
  }
}
