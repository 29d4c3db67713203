import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { Value } from 'typebox/value'
import { InjectionCreate } from '../../shared/api/injection.ts'
import { errorText, MooringError } from '../../shared/errors.ts'

/** Options of `mooring inject`, as they were given. */
export interface InjectOptions {
  readonly pool: string
  readonly credential: string
  readonly jump?: string
  readonly jumpCredential?: string
  readonly knownHosts?: string
  readonly consoleLog?: string
  readonly parallel?: string
  readonly remove?: boolean
}

/** The request that they mean. Throws `CONFIG_INVALID`, naming the option. */
export async function readRequest(
  hosts: readonly string[],
  options: InjectOptions,
): Promise<InjectionCreate> {
  if (options.consoleLog !== undefined && hosts.length !== 1) {
    throw invalid('--console-log is of one machine, and there are several')
  }
  const consoleLog = options.consoleLog && (await textOf(options.consoleLog, '--console-log'))
  const jump = options.jump === undefined ? undefined : readPlace(options.jump)
  const request = {
    pool: options.pool,
    credential: options.credential,
    action: options.remove === true ? 'remove' : 'inject',
    targets: hosts.map((host) => ({
      ...readPlace(host),
      ...(consoleLog && { consoleLog: consoleLog.slice(0, longest) }),
    })),
    ...(jump && {
      jump: { ...jump, ...(options.jumpCredential && { credential: options.jumpCredential }) },
    }),
    ...(options.knownHosts && { knownHosts: await textOf(options.knownHosts, '--known-hosts') }),
    ...(options.parallel && { parallel: Number(options.parallel) }),
  }
  const fault = [...Value.Errors(InjectionCreate, request)][0]
  if (fault !== undefined || !Value.Check(InjectionCreate, request)) {
    throw invalid(
      `${fault?.instancePath.slice(1).replaceAll('/', '.') ?? 'it'} ${fault?.message ?? 'does not fit'}`,
    )
  }
  return request
}

/** What the schema lets through; the keys are at the log's beginning. */
const longest = 64 * 1024

/** `host`, `host:port`, `[address]:port`, or an IPv6 address alone. */
export function readPlace(text: string): { host: string; port?: number } {
  if (isIP(text) === 6) return { host: text }
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined) throw invalid(`"${text}" is no machine: host, host:port or [address]:port`)
  return { host, ...(port !== undefined && { port: Number(port) }) }
}

async function textOf(file: string, option: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw invalid(`${option}: ${errorText(error)}`)
  })
}

function invalid(detail: string): MooringError {
  return new MooringError('CONFIG_INVALID', { detail })
}
