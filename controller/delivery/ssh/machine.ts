import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { InjectionCreate } from '../../../shared/api/injection.ts'
import type { PoolSpec } from '../../../shared/api/operator.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import { canonicalAddress } from '../../join/address.ts'
import { type Connection, connect } from './connection.ts'
import { type Credentials, checkPlace, type Login } from './credentials.ts'
import { fingerprint, type HostKey, hostKeyOf, keysFor, keysInConsole } from './host-keys.ts'
import type { PinnedHosts } from './pinned-hosts.ts'
import { judgeHostKey, type KnownKeys, wantedKinds } from './policy.ts'

export interface MachineDeps {
  readonly credentials: Credentials
  readonly pinned: PinnedHosts
  /** Told of a key that was taken at first sight, before anything else is done. */
  readonly onPin: (name: string, fingerprint: string) => Promise<void>
}

export interface MachineQuestion {
  readonly request: Pick<InjectionCreate, 'pool' | 'credential' | 'jump' | 'knownHosts'>
  readonly spec: Pick<PoolSpec, 'join' | 'injection'>
  readonly target: InjectionCreate['targets'][number]
  readonly signal: AbortSignal
}

/** A machine whose key is known, and that took the login. */
export interface Machine {
  readonly connection: Connection
  readonly login: Login
  readonly hostKey: string
  readonly pinned: boolean
  close(): void
}

/** Connects to a target, through the jump host if there is one. Throws codes of the catalogue. */
export async function openMachine(question: MachineQuestion, deps: MachineDeps): Promise<Machine> {
  const { request, spec, target, signal } = question
  const { pool, jump } = request
  if (jump === undefined) {
    const one = await reach(target.host, target.port ?? 22, request.credential, target.consoleLog)
    return { ...one, close: () => one.connection.close() }
  }
  // Names would be looked up where nobody here can check them.
  if (isIP(target.host) === 0) {
    throw new MooringError('REQUEST_INVALID', {
      detail: `${target.host}: behind a jump host it takes an address`,
    })
  }
  const first = await reach(jump.host, jump.port ?? 22, jump.credential ?? request.credential, undefined)
  try {
    const second = await reach(
      target.host,
      target.port ?? 22,
      request.credential,
      target.consoleLog,
      first.connection,
    )
    return {
      ...second,
      close() {
        second.connection.close()
        first.connection.close()
      },
    }
  } catch (error) {
    first.connection.close()
    throw error
  }

  async function reach(
    host: string,
    port: number,
    credentialName: string,
    consoleLog: string | undefined,
    via?: Connection,
  ) {
    const name = `${host}:${port}`
    const credential = deps.credentials.find(credentialName, pool)
    const address = await resolve(host)
    checkPlace(address, credential, spec.join.cidrs)
    const login = await deps.credentials.read(credential)
    const known = await knownKeys(host, address, port, consoleLog)
    let shown: { readonly key: HostKey; readonly pin: boolean } | undefined
    const through = await via?.forward(address, port)
    const connection = await connect({
      ...{ name, host: address, port, login, signal },
      kinds: wantedKinds(known),
      ...(through && { through }),
      judge(blob) {
        const key = hostKeyOf(blob)
        const verdict = judgeHostKey(key, known, spec.injection?.firstSight ?? 'refuse')
        if (!verdict.trusted) throw new MooringError(verdict.code, { detail: `${name}: ${verdict.detail}` })
        shown = { key, pin: verdict.pin }
      },
    })
    if (shown === undefined) {
      connection.close()
      throw new MooringError('SSH_HOST_KEY_UNKNOWN', { detail: name })
    }
    const print = fingerprint(shown.key)
    if (shown.pin) {
      await deps.pinned.pin(host, port, shown.key)
      await deps.onPin(name, print)
    }
    return { connection, login, hostKey: print, pinned: shown.pin }
  }

  async function knownKeys(
    host: string,
    address: string,
    port: number,
    consoleLog: string | undefined,
  ): Promise<KnownKeys> {
    const lists = [request.knownHosts ?? '', (spec.injection?.hostKeys ?? []).join('\n')]
    const names = [...new Set([host, address])]
    const found = lists.flatMap((list) => names.map((name) => keysFor(list, name, port)))
    return {
      vouched: [...found.flatMap(({ known }) => known), ...keysInConsole(consoleLog ?? '')],
      revoked: found.flatMap(({ revoked }) => revoked),
      pinned: await deps.pinned.keysOf(host, port),
    }
  }
}

/** The address that a name has now: it is what is judged, and what is connected to. */
async function resolve(host: string): Promise<string> {
  const literal = canonicalAddress(host)
  if (literal !== undefined) return literal
  try {
    const { address } = await lookup(host)
    return canonicalAddress(address) ?? address
  } catch (error) {
    throw new MooringError('SSH_UNREACHABLE', { detail: `${host}: ${errorText(error)}`, cause: error })
  }
}
