import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createBackoff } from '../../../shared/backoff.ts'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'
import type { IstiodPorts } from './istiod-command.ts'
import type { PidRecord } from './orphan.ts'
import { createOutputLog } from './output-log.ts'

/** One life of the istiod process. */
export interface IstiodRun {
  readonly ports: IstiodPorts
  /** Aborted when the process has ended. */
  readonly ended: AbortSignal
}

export interface IstiodDeps {
  readonly binary: string
  readonly arguments: (ports: IstiodPorts) => readonly string[]
  /** Asked anew at every start. */
  readonly environment: () => Readonly<Record<string, string>>
  readonly folder: string
  readonly logFile: string
  readonly pidRecord: PidRecord
  readonly clock: Clock
  readonly log: Log
  readonly random?: () => number
  /** Prepares every start. */
  readonly before: () => Promise<void>
  /** Accompanies every life. */
  readonly during: (run: IstiodRun) => Promise<void>
  readonly onLine?: (line: string) => void
}

export interface IstiodState {
  readonly running: boolean
  readonly pid: number | undefined
  /** Starts after the first. */
  readonly restarts: number
  readonly lastExit: string | undefined
}

/** Keeps istiod running, as a child of this process. */
export interface Istiod {
  /** Resolves when the first process is there; goes on until `stop`. */
  start(signal: AbortSignal): Promise<void>
  /** Ends the present process; another follows. */
  restart(): void
  state(): IstiodState
  stop(): Promise<void>
}

const stableMs = 60_000
const stopGraceMs = 5_000

export function createIstiod(deps: IstiodDeps): Istiod {
  const { clock, log, pidRecord } = deps
  const backoff = createBackoff({
    baseMs: 200,
    maxMs: 10_000,
    ...(deps.random && { random: deps.random }),
  })
  const stopping = new AbortController()
  const output = createOutputLog({ file: deps.logFile, ...(deps.onLine && { onLine: deps.onLine }) })
  let child: ChildProcess | undefined
  /** Of the present life; of none at first. */
  let ended = new AbortController()
  ended.abort()
  let starts = 0
  let lastExit: string | undefined
  let finished: Promise<void> = Promise.resolve()

  /** One life, from start to end. */
  async function live(started: () => void): Promise<void> {
    await deps.before()
    const ports = await freePorts()
    stopping.signal.throwIfAborted()
    const process = spawn(deps.binary, [...deps.arguments(ports)], {
      cwd: deps.folder,
      env: deps.environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    ended = new AbortController()
    const exit = new Promise<string>((resolve, reject) => {
      process.once('error', reject)
      process.once('exit', (code, signal) => resolve(signal ?? `exit status ${code}`))
    })
    exit.catch(() => undefined)
    process.stdout.on('data', output.write)
    process.stderr.on('data', output.write)
    try {
      if (process.pid === undefined) await exit
      else await pidRecord.remember(process.pid)
      child = process
      starts += 1
      const startedAt = clock.now()
      started()
      log.info('istiod started', { pid: process.pid, ports })
      const accompanied = deps.during({ ports, ended: ended.signal }).catch((error: unknown) => {
        if (!ended.signal.aborted) log.error('istiod could not be accompanied', { error: errorText(error) })
      })
      lastExit = await exit
      if (clock.now() - startedAt > stableMs) backoff.reset()
      ended.abort(new MooringError('MESH_UNAVAILABLE', { detail: 'istiod ended' }))
      await accompanied
    } finally {
      child = undefined
      ended.abort(new MooringError('MESH_UNAVAILABLE', { detail: 'istiod ended' }))
    }
    await pidRecord.forget()
    if (!stopping.signal.aborted) {
      log.error('istiod ended by itself', { exit: lastExit, tail: output.tail().slice(-10) })
    }
  }

  /** Ends the present process, one that hangs too. */
  async function end(): Promise<void> {
    const [process, over] = [child, ended]
    process?.kill('SIGTERM')
    await clock.sleep(stopGraceMs, over.signal).catch(() => undefined)
    if (!over.signal.aborted) process?.kill('SIGKILL')
  }

  async function run(started: () => void): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await live(started)
      } catch (error) {
        if (stopping.signal.aborted) return
        lastExit = errorText(error)
        log.error('istiod cannot be started', { error: lastExit })
      }
      await clock.sleep(backoff.next(), stopping.signal).catch(() => undefined)
    }
  }

  return {
    async start(signal) {
      if (await pidRecord.endOrphan(signal)) log.warn('ended an istiod that an earlier controller left')
      await new Promise<void>((resolve, reject) => {
        signal.throwIfAborted()
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        finished = run(resolve)
      })
    },
    restart: () => {
      void end()
    },
    state: () => ({
      running: child !== undefined,
      pid: child?.pid,
      restarts: Math.max(0, starts - 1),
      lastExit,
    }),
    async stop() {
      stopping.abort(new MooringError('UNAVAILABLE', { detail: 'the controller stops' }))
      await Promise.all([end(), finished])
      output.close()
    },
  }
}

/** Ports that are free now. Another program may be quicker; istiod then ends and is started with others. */
async function freePorts(): Promise<IstiodPorts> {
  const servers = [createServer(), createServer(), createServer()]
  try {
    const [http = 0, secure = 0, monitoring = 0] = await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject)
            server.listen(0, '127.0.0.1', () => {
              const address = server.address()
              resolve(typeof address === 'object' && address !== null ? address.port : 0)
            })
          }),
      ),
    )
    return { http, secure, monitoring }
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}
