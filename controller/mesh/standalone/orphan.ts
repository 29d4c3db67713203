import { readFile, rm } from 'node:fs/promises'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import { writeAtomic } from '../../store/atomic-file.ts'
import { identify, isAlive, type ProcessIdentity } from './process-table.ts'

const Record = Type.Object({
  pid: Type.Integer({ minimum: 2 }),
  startTime: Type.Integer(),
  bootId: Type.String({ maxLength: 64 }),
})

export interface PidRecordDeps {
  readonly file: string
  readonly proc: string
  readonly clock: Clock
}

/** Remembers a child beyond this process's own end, so that the next start can end it first. */
export interface PidRecord {
  remember(pid: number): Promise<void>
  forget(): Promise<void>
  /** Ends the child that an earlier process left behind; true if there was one. */
  endOrphan(signal: AbortSignal): Promise<boolean>
}

const termGraceMs = 3_000
const killGraceMs = 10_000

export function createPidRecord(deps: PidRecordDeps): PidRecord {
  const { file, proc, clock } = deps

  async function remembered(): Promise<ProcessIdentity | undefined> {
    try {
      const value: unknown = JSON.parse(await readFile(file, 'utf8'))
      return Value.Check(Record, value) ? value : undefined
    } catch {
      return undefined
    }
  }

  async function goneWithin(orphan: ProcessIdentity, ms: number, signal: AbortSignal): Promise<boolean> {
    const deadline = clock.now() + ms
    while (await isAlive(proc, orphan)) {
      if (clock.now() >= deadline) return false
      await clock.sleep(20, signal)
    }
    return true
  }

  return {
    async remember(pid) {
      const identity = await identify(proc, pid)
      if (identity !== undefined) await writeAtomic(file, `${JSON.stringify(identity)}\n`, 0o600)
    },
    forget: () => rm(file, { force: true }),
    async endOrphan(signal) {
      const orphan = await remembered()
      if (orphan === undefined || !(await isAlive(proc, orphan))) return false
      end(orphan.pid, 'SIGTERM')
      if (!(await goneWithin(orphan, termGraceMs, signal))) {
        end(orphan.pid, 'SIGKILL')
        if (!(await goneWithin(orphan, killGraceMs, signal))) {
          throw new MooringError('MESH_UNAVAILABLE', { detail: `istiod ${orphan.pid} cannot be ended` })
        }
      }
      await rm(file, { force: true })
      return true
    },
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself meanwhile.
  }
}
