import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { ConfigLayer } from '../config-layers.ts'

/**
 * The variable by which a process that starts itself anew in place hands on the configuration it has read. There is no
 * secret in it: secrets are in files of their own.
 */
export const handedVariable = 'MOORING_HANDED_CONFIG'

/** Linux bounds one variable, with its name, to 128 KiB (MAX_ARG_STRLEN; execve(2)). */
const maxBytes = 100 * 1024

const Handed = Type.Array(Type.Object({ path: Type.String(), value: Type.Unknown() }))

/** The configuration as the value of that variable; undefined when it is too large for one. */
export function handedText(layers: readonly ConfigLayer[]): string | undefined {
  const text = JSON.stringify(layers)
  return Buffer.byteLength(text) > maxBytes ? undefined : text
}

/** Takes what was handed out of `env`, so that no child inherits it; undefined when there is nothing of use. */
export function takeHanded(env: Record<string, string | undefined>): readonly ConfigLayer[] | undefined {
  const text = env[handedVariable]
  delete env[handedVariable]
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(Handed, value) ? value : undefined
  } catch {
    return undefined
  }
}
