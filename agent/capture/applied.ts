import { rm } from 'node:fs/promises'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { readBounded, writeAtomic } from '../host/files.ts'
import { variants } from './saved-rules.ts'

/** What was put into the kernel, so that a later agent can recognise it and take it back. */
const Applied = Type.Object({
  apply: Type.Array(Type.String({ maxLength: 8192 }), { maxItems: 64 }),
  cleanup: Type.Array(Type.String({ maxLength: 8192 }), { maxItems: 64 }),
  basis: Type.String({ maxLength: 8192 }),
  /** SHA-256 of the resulting rules; empty between intention and deed. */
  digest: Type.String({ maxLength: 64 }),
  variant: Type.Enum([...variants]),
  /** What looked like Istio's guardrails before it was run, by program: somebody else's, and to be kept. */
  drops: Type.Optional(
    Type.Record(Type.String({ maxLength: 64 }), Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 })),
  ),
})
export type Applied = Static<typeof Applied>

export interface AppliedFile {
  /** Undefined when there is none, or none that can be understood. */
  read(): Promise<Applied | undefined>
  write(applied: Applied): Promise<void>
  remove(): Promise<void>
}

/** The record at `path`. Rules do not outlive a boot and the record does: the digest tells. */
export function createAppliedFile(path: string): AppliedFile {
  return {
    async read() {
      try {
        const value: unknown = JSON.parse((await readBounded(path, 65536)) ?? 'null')
        return Value.Check(Applied, value) ? value : undefined
      } catch {
        return undefined
      }
    },
    write: (applied) => writeAtomic(path, `${JSON.stringify(applied)}\n`, { mode: 0o600 }),
    remove: () => rm(path, { force: true }),
  }
}
