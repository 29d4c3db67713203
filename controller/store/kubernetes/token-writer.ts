import { isDeepStrictEqual } from 'node:util'
import { isMooringError, MooringError } from '../../../shared/errors.ts'
import type { Client } from '../../kubernetes/client.ts'
import type { TokenRecord } from '../records.ts'
import { metadataFor, newMetadata } from './entry.ts'
import { kindLabel, type SecretObject, secrets, tokenLabel } from './resources.ts'
import {
  pageBody,
  pageKind,
  pageLabels,
  pageName,
  secretBody,
  secretLabels,
  secretName,
} from './secret-codec.ts'
import type { Entry } from './shelf.ts'
import type { Shelves } from './shelves.ts'
import { pagesToWrite } from './token-pages.ts'

export interface TokenWriterDeps {
  readonly client: Client
  readonly shelves: Shelves
  /** Of the controller. */
  readonly namespace: string
}

/** Writes join tokens: their own Secrets, and the pages of their uses. */
export interface TokenWriter {
  /** Throws `CONFLICT` when another replica wrote the same page first. */
  put(name: string, value: TokenRecord): Promise<void>
  /** After the token's own Secret is gone: no use of it is granted any more. */
  removePages(name: string): Promise<void>
  /** Pages that a replica left which died while it removed a token. */
  sweep(): Promise<void>
}

export function createTokenWriter({ client, shelves, namespace }: TokenWriterDeps): TokenWriter {
  const { tokens } = shelves
  const ownOf = (name: string) => shelves.secrets.get(`token/${name}`) as Entry<TokenRecord> | undefined
  const nameOf = (name: string) => ({ namespace, name: secretName('token', name) })

  async function putOwn(name: string, value: TokenRecord, old: Entry<TokenRecord> | undefined) {
    const labels = secretLabels('token', value)
    const body = secretBody('token', value)
    const made =
      old === undefined
        ? await client.create<SecretObject>(secrets, {
            metadata: newMetadata(namespace, secretName('token', name), labels),
            ...body,
          })
        : await client.replace<SecretObject>(secrets, { metadata: metadataFor(old, labels), ...body })
    shelves.secretObjects.changed(made)
  }

  async function putPage(token: string, page: number, usedBy: readonly string[]): Promise<void> {
    const old = tokens.page(token, page)
    const value = { token, page, usedBy }
    const labels = pageLabels(value)
    try {
      if (old !== undefined) {
        const object = { metadata: metadataFor(old, labels), ...pageBody(value) }
        return shelves.secretObjects.changed(await client.replace<SecretObject>(secrets, object))
      }
      const metadata = newMetadata(namespace, pageName(value), labels)
      const made = await client.create<SecretObject>(secrets, { metadata, ...pageBody(value) })
      shelves.secretObjects.changed(made)
    } catch (error) {
      if (isMooringError(error, 'CONFLICT') || isMooringError(error, 'NOT_FOUND')) await refresh(token, page)
      throw error
    }
    // Whoever removes a token removes its pages after it: one made after that would be the only one left.
    if ((await client.get(secrets, nameOf(token))) !== undefined) return
    await client.remove(secrets, { namespace, name: pageName(value) })
    throw new MooringError('CONFLICT', { detail: `token ${token} was removed` })
  }

  async function refresh(token: string, page: number): Promise<void> {
    const known = tokens.page(token, page)
    const found = await client.get<SecretObject>(secrets, { namespace, name: pageName({ token, page }) })
    if (found !== undefined) shelves.secretObjects.changed(found)
    else if (known !== undefined) shelves.secretObjects.removed(known.uid)
  }

  return {
    async put(name, value) {
      const own = ownOf(name)
      if (own === undefined && shelves.pools.get(value.pool)?.deleting !== undefined) {
        throw new MooringError('REQUEST_INVALID', { detail: `pool ${value.pool} is being deleted` })
      }
      const before = own === undefined ? new Map<number, readonly string[]>() : tokens.keysOf(own, name)
      const written = pagesToWrite(before, value.uses, value.usedBy)
      const first = written.get(0) ?? before.get(0) ?? []
      const fresh = { ...value, usedBy: first }
      // First, so that no page is without its token.
      if (own === undefined || !isDeepStrictEqual(own.value, fresh)) await putOwn(name, fresh, own)
      for (const [page, keys] of written) if (page !== 0) await putPage(name, page, keys)
    },
    async removePages(name) {
      // Asked anew: another replica may have made one this instant.
      const labels = `${kindLabel}=${pageKind},${tokenLabel}=${name}`
      const { items } = await client.list<SecretObject>(secrets, { namespace, labels })
      for (const { metadata } of items) {
        await client.remove(secrets, { namespace, name: metadata.name })
        shelves.secretObjects.removed(metadata.uid ?? '')
      }
    },
    async sweep() {
      for (const { name, uid, value } of tokens.orphans((token) => ownOf(token) !== undefined)) {
        if ((await client.get(secrets, nameOf(value.token))) !== undefined) continue
        await client.remove(secrets, { namespace, name })
        shelves.secretObjects.removed(uid)
      }
    },
  }
}
