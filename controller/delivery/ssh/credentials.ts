import { readFile } from 'node:fs/promises'
import { errorText, MooringError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import { isInside } from '../../join/address.ts'

/** Where a secret is: a file of the controller's machine (a mounted Secret, say), or a variable of its environment. */
export interface SecretReference {
  readonly file?: string
  readonly env?: string
}

/** An account on VMs, as the configuration describes it. */
export interface CredentialConfig {
  readonly name: string
  readonly user: string
  readonly privateKey?: SecretReference
  /** Of the private key. */
  readonly passphrase?: SecretReference
  /** For logging in where there is no key, and for sudo. */
  readonly password?: SecretReference
  /** For VMs of which pools it may be used; `*` for all. */
  readonly pools: readonly string[]
  /** For VMs at which addresses; empty for those from which the pool's VMs may join. */
  readonly cidrs: readonly string[]
}

/** An account with its secrets. */
export interface Login {
  readonly user: string
  readonly privateKey?: Secret
  readonly passphrase?: Secret
  readonly password?: Secret
}

export interface CredentialsDeps {
  readonly list: readonly CredentialConfig[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The accounts that the controller may use; their secrets are read when they are needed, and kept nowhere. */
export interface Credentials {
  /** Throws `FORBIDDEN` or `NOT_FOUND`. */
  find(name: string, pool: string): CredentialConfig
  /** Throws `CREDENTIAL_UNUSABLE`. */
  read(credential: CredentialConfig): Promise<Login>
}

const maxBytes = 64 * 1024

export function createCredentials({ list, environment }: CredentialsDeps): Credentials {
  async function secret(name: string, what: string, from: SecretReference | undefined) {
    if (from === undefined) return undefined
    const unusable = (why: string, cause?: unknown) =>
      new MooringError('CREDENTIAL_UNUSABLE', { detail: `${name}: its ${what} ${why}`, cause })
    let text: string | undefined
    if (from.file !== undefined) {
      text = await readFile(from.file, 'utf8').catch((error: unknown) => {
        throw unusable(`cannot be read: ${errorText(error)}`, error)
      })
    } else {
      text = environment[from.env ?? '']
    }
    if (text === undefined || text === '') throw unusable('is empty')
    if (text.length > maxBytes) throw unusable('is too large')
    // A key needs the end of its last line, a password is all of its line.
    return new Secret(what === 'private key' ? text : text.replace(/\r?\n$/, ''))
  }

  return {
    find(name, pool) {
      const found = list.find((one) => one.name === name)
      if (found === undefined) throw new MooringError('NOT_FOUND', { detail: `credential ${name}` })
      if (!found.pools.includes('*') && !found.pools.includes(pool)) {
        throw new MooringError('FORBIDDEN', { detail: `credential ${name} is not for pool ${pool}` })
      }
      return found
    },
    async read({ name, user, ...from }) {
      const privateKey = await secret(name, 'private key', from.privateKey)
      const passphrase = await secret(name, 'passphrase', from.passphrase)
      const password = await secret(name, 'password', from.password)
      if (privateKey === undefined && password === undefined) {
        throw new MooringError('CREDENTIAL_UNUSABLE', { detail: `${name} has neither key nor password` })
      }
      return {
        user,
        ...(privateKey && { privateKey }),
        ...(passphrase && { passphrase }),
        ...(password && { password }),
      }
    },
  }
}

/** Throws `ADDRESS_NOT_ALLOWED` where the account may not be used: a name of an operator's choice must not lead anywhere. */
export function checkPlace(
  address: string,
  credential: Pick<CredentialConfig, 'name' | 'cidrs'>,
  poolCidrs: readonly string[],
): void {
  const cidrs = credential.cidrs.length > 0 ? credential.cidrs : poolCidrs
  if (isInside(address, cidrs)) return
  throw new MooringError('ADDRESS_NOT_ALLOWED', {
    detail: `credential ${credential.name} is for ${cidrs.join(', ') || 'no address'}, and this is ${address}`,
  })
}
