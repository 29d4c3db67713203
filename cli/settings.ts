import { readFile } from 'node:fs/promises'
import { errorText, MooringError } from '../shared/errors.ts'
import { pinPattern } from '../shared/pin.ts'
import { Secret } from '../shared/secret.ts'
import type { Config } from './config-file.ts'

/** How to reach a controller, and as whom. */
export interface Settings {
  readonly server: URL
  readonly trust: Trust
  readonly token: Secret | undefined
}

/** An authority's certificate (PEM), or the pin of its key. */
export type Trust = { readonly ca: string } | { readonly pin: string }

export interface SettingsSource {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly config: Config
  /** Name of a context; the config's current one when absent. */
  readonly context?: string | undefined
}

/**
 * MOORING_URL, MOORING_CA_FILE, MOORING_PIN and MOORING_TOKEN_FILE over the stored context. A token that was
 * stored for one controller is never sent to another.
 */
export async function resolveSettings(source: SettingsSource): Promise<Settings> {
  const { env, config } = source
  const name = source.context ?? config.current
  const stored = Object.hasOwn(config.contexts, name) ? config.contexts[name] : undefined
  if (source.context !== undefined && stored === undefined) {
    const known = Object.keys(config.contexts).join(', ') || 'none'
    throw new MooringError('CONFIG_INVALID', { detail: `there is no context "${name}"; known: ${known}` })
  }
  const url = env.MOORING_URL ?? stored?.server
  if (url === undefined) {
    throw new MooringError('UNAUTHENTICATED', {
      detail: 'nobody has logged in here, and MOORING_URL is not set',
    })
  }
  const server = parseServer(url)
  const same =
    stored !== undefined && server.origin === parseServer(stored.server).origin ? stored : undefined
  const trust = await trustFrom(env.MOORING_CA_FILE, env.MOORING_PIN)
  if (trust === undefined && same === undefined) {
    throw new MooringError('CONFIG_INVALID', {
      detail: `nothing says how to recognise ${server.origin}: set MOORING_CA_FILE or MOORING_PIN, or log in`,
    })
  }
  const tokenFile = env.MOORING_TOKEN_FILE ?? same?.tokenPath
  const token = tokenFile === undefined ? same?.token : await readTokenFile(tokenFile)
  return {
    server,
    trust: trust ?? { ca: same?.ca ?? '' },
    token: token === undefined || token instanceof Secret ? token : new Secret(token),
  }
}

/** Trust out of a CA file or a pin; undefined when neither is given. */
export async function trustFrom(
  caFile: string | undefined,
  pin: string | undefined,
): Promise<Trust | undefined> {
  if (caFile !== undefined) {
    const ca = await readText(caFile)
    if (ca.includes('-----BEGIN CERTIFICATE-----')) return { ca }
    throw new MooringError('CONFIG_INVALID', { detail: `${caFile} holds no certificate in PEM` })
  }
  if (pin === undefined) return undefined
  if (new RegExp(pinPattern).test(pin)) return { pin }
  throw new MooringError('CONFIG_INVALID', { detail: `"${pin}" is no pin: sha256: and 64 digits of hex` })
}

/** The origin of a controller; only https, and nothing but host and port. */
export function parseServer(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.username !== '' || url.pathname !== '/' || url.search !== '') {
    throw new MooringError('CONFIG_INVALID', {
      detail: `"${text}" is no controller's address: https://HOST[:PORT]`,
    })
  }
  return url
}

/** A token out of a file. */
export async function readTokenFile(file: string): Promise<Secret> {
  return parseToken(await readText(file), file)
}

/** A token as text, checked for what a header can carry. */
export function parseToken(text: string, source: string): Secret {
  const token = text.trim()
  if (/^[\x21-\x7e]{8,8192}$/.test(token)) return new Secret(token)
  throw new MooringError('CONFIG_INVALID', { detail: `${source} holds no token` })
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new MooringError('CONFIG_INVALID', { detail: `${file} cannot be read: ${errorText(cause)}`, cause })
  }
}
