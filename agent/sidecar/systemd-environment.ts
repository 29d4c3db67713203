import { MooringError } from '../../shared/errors.ts'
import type { SidecarSpec } from './supervisor.ts'

/** The variable from which the unit's command line takes the arguments of the sidecar. */
export const argumentsVariable = 'MOORING_SIDECAR_ARGUMENTS'

const nameForm = /^[A-Za-z_][A-Za-z0-9_]*$/
// What systemd would split, unquote or expand once more (systemd.service(5), "Command lines").
const plainWord = /^[^\s"'\\$%;]+$/
// Of the control characters systemd lets tab and line feed pass (src/basic/env-util.c).
// biome-ignore lint/suspicious/noControlCharactersInRegex: these very characters are meant
const refusedCharacters = /[\u0000-\u0008\u000b-\u001f\u007f]/
const hashLine = /^# specification ([0-9a-f]{1,64})$/m

/**
 * The text of the unit's EnvironmentFile= (systemd.exec(5)): what differs from one specification to the next.
 * Throws `CONFIG_INVALID` for what such a file cannot say.
 */
export function environmentFile(spec: Pick<SidecarSpec, 'args' | 'env' | 'hash'>): string {
  const bent = spec.args.find((arg) => !plainWord.test(arg))
  if (bent !== undefined) throw invalid(`argument ${bent.slice(0, 100)}`)
  const env = { ...spec.env, [argumentsVariable]: spec.args.join(' ') }
  const lines = Object.entries(env).map(([name, value]) => {
    if (!nameForm.test(name) || refusedCharacters.test(value)) throw invalid(`variable ${name.slice(0, 100)}`)
    return `${name}=${quoted(value)}`
  })
  return `# specification ${spec.hash}\n${lines.join('\n')}\n`
}

/** Hash of the specification that an environment file was made for; undefined for any other text. */
export function hashIn(text: string): string | undefined {
  return hashLine.exec(text)?.[1]
}

/** Within double quotes a backslash makes these four plain, and no other character is special. */
function quoted(value: string): string {
  return `"${value.replace(/["\\$`]/g, '\\$&')}"`
}

function invalid(what: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `systemd cannot hand it to the sidecar: ${what}` })
}
