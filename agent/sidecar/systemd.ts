import { mkdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { readBounded, syncFolder, writeAtomic } from '../host/files.ts'
import { createKeeper, type KeeperDeps } from './keeper.ts'
import type { Run, SidecarRuns } from './process-group.ts'
import type { ProcessTable } from './process-table.ts'
import type { SidecarSpec, Supervisor } from './supervisor.ts'
import { environmentFile, hashIn } from './systemd-environment.ts'
import type { SystemdUnit, UnitStatus } from './systemd-unit.ts'

export interface UnitRunsDeps {
  readonly unit: SystemdUnit
  readonly processes: ProcessTable
  /** What the unit starts from: a link to the program, and its environment. */
  readonly paths: { readonly program: string; readonly environment: string }
  /** Ends a sidecar that an agent started as its own child, before the unit was there. */
  readonly endOthers: (uid: number, graceMs: number, signal: AbortSignal) => Promise<void>
  /** Milliseconds since boot. */
  readonly uptimeMs: () => Promise<number>
  readonly clock: Clock
  readonly log: Log
}

/** Supervisor `systemd`: the sidecar as the unit `mooring-sidecar.service`. */
export function createSystemdSupervisor(deps: UnitRunsDeps & Pick<KeeperDeps, 'random'>): Supervisor {
  return createKeeper({ ...deps, runs: createUnitRuns(deps) })
}

const strayGraceMs = 2000
/** Longest environment file: 128 variables of 4 KiB and those of the agent. */
const maxFileBytes = 2 * 1024 * 1024

/**
 * Runs the sidecar as a unit of systemd, in a control group of its own: it outlives the agent. systemd starts it
 * again by itself when it dies, so that this needs no agent either; an agent that is there sees the new process,
 * and goes on starting it, with pauses, when systemd has given up.
 *
 * What the unit starts from changes only while it does not run. So a running one was started from what lies there,
 * and the hash in it says which specification that was.
 */
export function createUnitRuns(deps: UnitRunsDeps): SidecarRuns {
  const { unit, processes, paths, clock, log } = deps

  const exited = async (status: UnitStatus, signal: AbortSignal) => {
    const entry = await processes.find(status.lastPid)
    if (entry !== undefined) await processes.gone(entry, clock, signal)
    return unit.exitOf(status.invocation, signal)
  }

  const runOf = async (
    status: UnitStatus,
    { uid, hash }: Pick<Run, 'uid' | 'hash'>,
    signal: AbortSignal,
  ): Promise<Run> => {
    const ended = exited(status, signal)
    // Nobody may be waiting any more when it is aborted.
    ended.catch(() => {})
    const program = await readlink(paths.program).catch(() => undefined)
    return {
      pid: status.lastPid,
      ...{ uid, hash },
      ...(program !== undefined && { program }),
      startedAt: clock.now() - Math.max(0, (await deps.uptimeMs()) - status.startedAfterBootMs),
      exited: ended,
    }
  }

  /** The hash of what runs; undefined when nothing does. */
  const runningHash = async ({ activeState, mainPid }: UnitStatus): Promise<string | undefined> =>
    activeState === 'active' && mainPid > 0 ? writtenHash() : undefined

  const writtenHash = async () => hashIn((await readBounded(paths.environment, maxFileBytes)) ?? '')

  const write = async (spec: SidecarSpec): Promise<void> => {
    const text = environmentFile(spec)
    await mkdir(dirname(paths.environment), { recursive: true, mode: 0o755 })
    await relink(paths.program, spec.command)
    await writeAtomic(paths.environment, text, { mode: 0o600 })
  }

  const isDown = ({ activeState }: UnitStatus) => activeState === 'inactive' || activeState === 'failed'

  return {
    async start(spec, signal) {
      const before = await unit.status(signal)
      // systemd may have been faster.
      if ((await runningHash(before)) === spec.hash) return runOf(before, spec, signal)
      const isPrepared = (await writtenHash()) === spec.hash
      if (!isPrepared && !isDown(before)) await unit.stop(strayGraceMs, signal)
      if (!isPrepared || isDown(before)) await write(spec)
      await unit.start(signal)
      return runOf(await unit.status(signal), spec, signal)
    },

    async adopt(spec, signal, options) {
      const status = await unit.status(signal)
      const hash = await runningHash(status)
      if (hash !== undefined && (hash === spec.hash || options?.keepOther)) {
        log.info('the running sidecar is adopted', { pid: status.mainPid })
        return runOf(status, { uid: spec.uid, hash }, signal)
      }
      if (!isDown(status)) await unit.stop(strayGraceMs, signal)
      await deps.endOthers(spec.uid, strayGraceMs, signal)
      return undefined
    },

    async end({ pid }, graceMs, signal) {
      // Dead already: systemd ends what the process leaves behind, and may have started the next one.
      if ((await unit.status(signal)).mainPid !== pid) return
      await unit.stop(graceMs, signal)
    },

    async endAll(uid, graceMs, signal) {
      if (!isDown(await unit.status(signal))) await unit.stop(graceMs, signal)
      await deps.endOthers(uid, graceMs, signal)
    },
  }
}

/** Points the link at another target, so that there is one at every moment. */
async function relink(path: string, target: string): Promise<void> {
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  await symlink(target, temporary)
  await rename(temporary, path)
  await syncFolder(dirname(path))
}
