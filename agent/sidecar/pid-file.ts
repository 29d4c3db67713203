import { rm } from 'node:fs/promises'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { readBounded, writeAtomic } from '../host/files.ts'

/** Which process the sidecar is, for the agent that comes after this one. */
const PidRecord = Type.Object({
  pid: Type.Integer({ minimum: 1 }),
  startTime: Type.Integer(),
  startedAt: Type.Integer(),
  hash: Type.String({ maxLength: 64 }),
  /** Agents before the first release did not write it. */
  program: Type.Optional(Type.String({ maxLength: 1024 })),
  bootId: Type.String({ maxLength: 64 }),
})
export type PidRecord = Static<typeof PidRecord>

export interface PidFile {
  /** Undefined when there is none, or none that can be understood: the process is then found by its program. */
  read(): Promise<PidRecord | undefined>
  write(record: PidRecord): Promise<void>
  remove(): Promise<void>
}

/** The record at `path`. */
export function createPidFile(path: string): PidFile {
  return {
    async read() {
      try {
        const value: unknown = JSON.parse((await readBounded(path, 4096)) ?? 'null')
        return Value.Check(PidRecord, value) ? value : undefined
      } catch {
        return undefined
      }
    },
    write: (record) => writeAtomic(path, `${JSON.stringify(record)}\n`, { mode: 0o644 }),
    remove: () => rm(path, { force: true }),
  }
}
