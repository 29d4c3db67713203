import type { Clock } from '../shared/clock.ts'
import { MooringError } from '../shared/errors.ts'
import type { Secret } from '../shared/secret.ts'
import { type Client, createClient } from './client.ts'
import { type ClientCertificate, readClientCertificate } from './client-certificate.ts'
import { configPath, readConfig } from './config-file.ts'
import { resolveSettings, type Trust } from './settings.ts'
import { createPaint, type Paint } from './table.ts'
import type { Terminal } from './terminal.ts'
import { transportFailure } from './transport-failure.ts'
import { fetchPinnedAuthority } from './trust.ts'

export interface SessionDeps {
  readonly terminal: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly clock: Clock
  readonly random: () => number
  readonly version: string
  /** Aborts when the person has had enough (SIGINT). */
  readonly signal: AbortSignal
}

/** What a command has to work with. */
export interface Session extends SessionDeps {
  readonly paint: Paint
  readonly configFile: string
  /** The controller that settings, environment and `--context` name. */
  client(context: string | undefined): Promise<Client>
  /** From now on this PKCS#12 file says who one is, and no token. */
  useCertificate(file: string, passwordFile: string | undefined): void
  /** A controller that is not in the settings yet, and the authority that it was recognised by. */
  connect(server: URL, trust: Trust, token?: Secret): Promise<{ client: Client; ca: string }>
  close(): void
}

const pinTimeoutMs = 15_000

/** Opens clients for commands, and closes them all. */
export function createSession(deps: SessionDeps): Session {
  const { terminal, env, home, clock, random, signal } = deps
  const configFile = configPath(env, home)
  const clients: Client[] = []
  let certificateFrom: { readonly file: string; readonly passwordFile: string | undefined } | undefined

  async function authority(server: URL, trust: Trust): Promise<string> {
    if ('ca' in trust) return trust.ca
    const limit = AbortSignal.timeout(pinTimeoutMs)
    const port = Number(server.port || 443)
    const host = server.hostname.replace(/^\[|\]$/g, '')
    try {
      return await fetchPinnedAuthority({
        host,
        port,
        pin: trust.pin,
        signal: AbortSignal.any([signal, limit]),
      })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (!limit.aborted) throw transportFailure(error, server)
      throw new MooringError('CONTROLLER_UNREACHABLE', { detail: `${server.origin}: it does not answer` })
    }
  }

  async function connect(server: URL, trust: Trust, token?: Secret, certificate?: ClientCertificate) {
    const ca = await authority(server, trust)
    const client = createClient({ server, ca, token, certificate, clock, random, signal })
    clients.push(client)
    return { client, ca }
  }

  return {
    ...deps,
    paint: createPaint(terminal.colour),
    configFile,
    connect,
    useCertificate(file, passwordFile) {
      certificateFrom = { file, passwordFile }
    },
    async client(context) {
      const settings = await resolveSettings({ env, config: await readConfig(configFile), context })
      if (certificateFrom !== undefined) {
        const certificate = await readClientCertificate({ ...certificateFrom, terminal })
        return (await connect(settings.server, settings.trust, undefined, certificate)).client
      }
      if (settings.token === undefined) {
        throw new MooringError('UNAUTHENTICATED', {
          detail: `there is no token for ${settings.server.origin}`,
        })
      }
      return (await connect(settings.server, settings.trust, settings.token)).client
    },
    close() {
      for (const client of clients) client.close()
    },
  }
}
