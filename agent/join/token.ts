import { Value } from 'typebox/value'
import { TokenEvidence } from '../../shared/api/join.ts'
import { MooringError } from '../../shared/errors.ts'
import type { JoinMethod } from './method.ts'

export interface TokenMethodDeps {
  readonly file: string
  /** Reads the file; undefined when there is none. */
  readonly read: (path: string) => Promise<string | undefined>
}

/** Join method `token`: a secret in a file, made by an operator or an orchestrator. The file is left alone. */
export function createTokenMethod({ file, read }: TokenMethodDeps): JoinMethod {
  return {
    name: 'token',
    async evidence() {
      const text = await read(file)
      if (text === undefined) {
        throw new MooringError('CONFIG_INVALID', { detail: `join.tokenFile: there is no file ${file}` })
      }
      const evidence = { method: 'token', token: text.trim() }
      if (!Value.Check(TokenEvidence, evidence)) {
        throw new MooringError('CONFIG_INVALID', {
          detail: `join.tokenFile: ${file} does not hold a join token`,
        })
      }
      return evidence
    },
  }
}
