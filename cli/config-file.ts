import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { errorText, MooringError } from '../shared/errors.ts'
import { writePrivateFile } from './private-file.ts'

/** One controller and who one is there. `token` is a secret, and why the file is private; or `tokenPath` says where it is. */
export const Context = Type.Object({
  server: Type.String({ pattern: '^https://' }),
  /** PEM. */
  ca: Type.String(),
  pin: Type.Optional(Type.String()),
  operator: Type.String(),
  token: Type.Optional(Type.String()),
  /** A file that somebody else puts new tokens into. */
  tokenPath: Type.Optional(Type.String()),
  /** Unix milliseconds; absent where the token does not say it. */
  expiresAt: Type.Optional(Type.Integer()),
})
export type Context = Static<typeof Context>

export const Config = Type.Object({
  version: Type.Literal(1),
  /** The context that is used when none is named. */
  current: Type.String(),
  contexts: Type.Record(Type.String(), Context),
})
export type Config = Static<typeof Config>

const empty: Config = { version: 1, current: 'default', contexts: {} }

/** Where the config is, by the XDG base directory specification. */
export function configPath(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const base = env.XDG_CONFIG_HOME
  return path.join(
    base !== undefined && path.isAbsolute(base) ? base : path.join(home, '.config'),
    'mooring/config.json',
  )
}

/** The config; an empty one where there is none. Refuses a file that others can read. */
export async function readConfig(file: string): Promise<Config> {
  let text: string
  try {
    const { mode } = await stat(file)
    if ((mode & 0o077) !== 0)
      throw invalid(file, `others may read it, and it holds a token: chmod 600 ${file}`)
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return empty
    throw error instanceof MooringError ? error : invalid(file, errorText(error))
  }
  const value = parse(file, text)
  const [fault] = Value.Errors(Config, value)
  if (fault !== undefined)
    throw invalid(file, `${fault.instancePath}: ${fault.message}; \`mooring login\` writes it anew`)
  return value as Config
}

/** Puts one context in, makes it the current one, and writes the file atomically with mode 0600. */
export async function writeContext(file: string, name: string, context: Context): Promise<void> {
  const config = await readConfig(file)
  const next: Config = { ...config, current: name, contexts: { ...config.contexts, [name]: context } }
  await writePrivateFile(file, `${JSON.stringify(next, null, 2)}\n`)
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalid(file, `it is not JSON: ${errorText(cause)}`)
  }
}

function invalid(file: string, why: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail: `${file}: ${why}` })
}
