import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { MooringError } from '../../shared/errors.ts'
import type { Exec } from './exec.ts'
import { programFolders } from './programs.ts'

const MachineFacts = Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 256 }))

const timeoutMs = 60_000

/**
 * Facts about the machine, gathered by a second process of this program: what it loads for that is gone with
 * it. `command` is how to start this program.
 */
export async function readMachineFacts(
  exec: Exec,
  command: readonly string[],
  signal: AbortSignal,
): Promise<Static<typeof MachineFacts>> {
  const [program = '', ...args] = command
  const env = { PATH: programFolders.join(':'), LANG: 'C' }
  const { code, stdout, stderr } = await exec(program, [...args, 'facts'], { env, timeoutMs, signal })
  if (code !== 0) {
    throw new MooringError('INTERNAL', {
      detail: `facts: ${stderr.trim().slice(0, 300) || `exit code ${code}`}`,
    })
  }
  const value: unknown = JSON.parse(stdout)
  if (Value.Check(MachineFacts, value)) return value
  throw new MooringError('INTERNAL', { detail: 'facts: it printed something else' })
}
