import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { errorText } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { LogFile } from './log-file.ts'
import type { PidFile } from './pid-file.ts'
import type { ProcessEntry, ProcessTable } from './process-table.ts'
import type { EnsureOptions, SidecarSpec } from './supervisor.ts'

export interface Exit {
  /** Both null when it was not our child: then nobody tells us. */
  readonly code: number | null
  readonly signal: string | null
  readonly tail: readonly string[]
}

/** One run of the sidecar: pilot-agent leads a process group, Envoy is in it. */
export interface Run {
  readonly pid: number
  readonly uid: number
  /** Of the specification it was started with, and the program of that. */
  readonly hash: string
  readonly program?: string
  readonly startedAt: number
  /** Resolves when the leader is gone; its Envoy may still be there. */
  readonly exited: Promise<Exit>
}

/** Runs of the sidecar: process groups that the agent starts itself, or those of a unit of systemd. */
export interface SidecarRuns {
  /** `signal` ends only the watching; the run outlives it. */
  start(spec: SidecarSpec, signal: AbortSignal): Promise<Run>
  /** A run that is there already, with the same specification unless others are kept. Any other sidecar is ended. */
  adopt(spec: SidecarSpec, signal: AbortSignal, options?: EnsureOptions): Promise<Run | undefined>
  /** Ends every sidecar of this agent, also those that it neither started nor adopted. */
  endAll(uid: number, graceMs: number, signal: AbortSignal): Promise<void>
  /** SIGTERM to the leader, SIGKILL to all after `graceMs`; resolves when the whole group is gone. */
  end(run: Pick<Run, 'pid' | 'uid'>, graceMs: number, signal: AbortSignal): Promise<void>
}

export interface ProcessGroupsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly processes: ProcessTable
  readonly pidFile: PidFile
  readonly logFile: LogFile
  /** What runs from below this folder as the sidecar's user is a sidecar of this agent. */
  readonly versions: string
}

const gonePollMs = 10
const strayGraceMs = 2000

/** Starts, adopts and ends process groups. */
export function createProcessGroups(deps: ProcessGroupsDeps): SidecarRuns {
  const { clock, log, processes, pidFile, logFile } = deps

  const watch = async (entry: ProcessEntry, offset: number, signal: AbortSignal): Promise<Exit> => {
    await processes.gone(entry, clock, signal)
    return { code: null, signal: null, tail: await logFile.tail(offset) }
  }

  const end: SidecarRuns['end'] = async ({ pid, uid }, graceMs, signal) => {
    const deadline = clock.now() + graceMs
    if (graceMs > 0) send(pid, 'SIGTERM')
    while ((await processes.group(pid, uid)).length > 0) {
      if (clock.now() >= deadline) send(-pid, 'SIGKILL')
      await clock.sleep(gonePollMs, signal)
    }
  }

  /** The process that the record names, if it is the same one and lives. */
  const recordedEntry = async (): Promise<ProcessEntry | undefined> => {
    const record = await pidFile.read()
    const entry = record && (await processes.find(record.pid))
    if (record === undefined || entry?.startTime !== record.startTime) return undefined
    return record.bootId === (await processes.bootId()) ? entry : undefined
  }

  const endAll: SidecarRuns['endAll'] = async (uid, graceMs, signal) => {
    // Found by its program, not by the record: the agent may have been killed before it wrote one.
    const strays = await processes.runningFrom(deps.versions, uid)
    // And by the record: programs of others are hidden from an agent that may not trace them.
    const recorded = await recordedEntry()
    const leaders = new Set([...strays.map((stray) => stray.group), ...(recorded ? [recorded.pid] : [])])
    for (const pid of leaders) {
      log.info('a running sidecar is ended', { pid })
      await end({ pid, uid }, graceMs, signal)
    }
  }

  return {
    end,
    endAll,

    async start(spec) {
      await mkdir(dirname(deps.versions), { recursive: true, mode: 0o755 })
      const output = await logFile.open()
      try {
        const child = spawn(spec.command, spec.args, {
          cwd: spec.cwd,
          env: { ...spec.env },
          uid: spec.uid,
          gid: spec.gid,
          // A group of its own, and a file as its output: it lives on when the agent does not.
          detached: true,
          stdio: ['ignore', output.fd, output.fd],
        })
        const exited = new Promise<Exit>((resolve) => {
          child.once('exit', (code, ended) => {
            void logFile.tail(output.size).then((tail) => resolve({ code, signal: ended, tail }))
          })
        })
        await new Promise<void>((resolve, reject) => {
          child.once('spawn', resolve)
          child.once('error', reject)
        })
        child.unref()
        const pid = child.pid as number
        const startedAt = clock.now()
        const startTime = (await processes.find(pid))?.startTime
        // Undefined: dead already, as `exited` will tell.
        if (startTime !== undefined) {
          const bootId = await processes.bootId()
          const program = spec.command
          const record = { pid, startTime, startedAt, hash: spec.hash, program, bootId }
          await pidFile.write(record).catch((error) => {
            // It runs all the same; the next agent finds it by its program, and starts it anew.
            log.warn('the sidecar cannot be written down', { error: errorText(error) })
          })
        }
        return { pid, uid: spec.uid, hash: spec.hash, program: spec.command, startedAt, exited }
      } finally {
        await output.close()
      }
    },

    async adopt(spec, signal, options) {
      const record = await pidFile.read()
      const entry = await recordedEntry()
      if (record && entry && (record.hash === spec.hash || options?.keepOther)) {
        log.info('the running sidecar is adopted', { pid: entry.pid })
        const exited = watch(entry, await logFile.size(), signal)
        exited.catch(() => {})
        const { hash, program, startedAt } = record
        return { pid: entry.pid, uid: spec.uid, hash, ...(program && { program }), startedAt, exited }
      }
      await endAll(spec.uid, strayGraceMs, signal)
      return undefined
    },
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone already.
  }
}
