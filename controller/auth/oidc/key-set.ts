import {
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
} from 'jose'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '../../../shared/clock.ts'
import { errorText, MooringError } from '../../../shared/errors.ts'
import type { Log } from '../../../shared/log.ts'

export interface KeySetDeps {
  /** As it is in the tokens; where its metadata is follows from it. */
  readonly issuer: string
  /** Gets a JSON document of the issuer, within limits; throws `UNAVAILABLE`. */
  readonly fetch: (url: URL) => Promise<unknown>
  readonly clock: Clock
  readonly log: Log
}

/** The public keys of an issuer. */
export interface KeySet {
  /** The key that a token names. Throws what jose throws for one that there is not, and `UNAVAILABLE`. */
  readonly keyFor: (header: JWSHeaderParameters, token: FlattenedJWSInput) => ReturnType<LocalSet>
}

type LocalSet = ReturnType<typeof createLocalJWKSet>

/** Keys are fetched anew after the first, are used no longer than the second, and asked for again not before the third. */
export const keySetMs = { fresh: 600_000, usable: 86_400_000, pause: 30_000 } as const

/** OpenID Connect Discovery 1.0, 3. */
const Metadata = Type.Object({
  issuer: Type.String({ maxLength: 2048 }),
  jwks_uri: Type.String({ maxLength: 2048, pattern: '^https://' }),
})
/** RFC 7517, 5. */
const Keys = Type.Object({
  keys: Type.Array(Type.Object({ kty: Type.String({ maxLength: 16 }) }), { maxItems: 100 }),
})

export function createKeySet(deps: KeySetDeps): KeySet {
  const { issuer, clock, log } = deps
  let set: { readonly find: LocalSet; readonly at: number } | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let trouble: unknown
  let refreshing: Promise<void> | undefined

  async function read(): Promise<LocalSet> {
    const metadata = await deps.fetch(metadataUrl(issuer))
    if (!Value.Check(Metadata, metadata)) throw unfit('its metadata name no jwks_uri with https')
    if (metadata.issuer !== issuer) throw unfit('its metadata are those of another issuer')
    const keys = await deps.fetch(new URL(metadata.jwks_uri))
    if (!Value.Check(Keys, keys)) throw unfit('its key set is none')
    return createLocalJWKSet(keys as JSONWebKeySet)
  }

  function unfit(why: string): MooringError {
    return new MooringError('UNAVAILABLE', { detail: `${issuer}: ${why}` })
  }

  /** Those who need keys meanwhile wait for the same answer; after it nobody asks again for a while. */
  function refresh(): Promise<void> {
    refreshing ??= (async () => {
      triedAt = clock.now()
      try {
        set = { find: await read(), at: clock.now() }
        trouble = undefined
      } catch (error) {
        trouble = error
        log.warn('the keys of the issuer of operator tokens cannot be fetched', {
          issuer,
          error: errorText(error),
        })
      } finally {
        refreshing = undefined
      }
    })()
    return refreshing
  }

  const mayAsk = () => refreshing !== undefined || clock.now() - triedAt >= keySetMs.pause
  const age = () => (set === undefined ? Number.POSITIVE_INFINITY : clock.now() - set.at)

  return {
    async keyFor(header, token) {
      if (age() >= keySetMs.fresh && mayAsk()) await refresh()
      if (set === undefined || age() >= keySetMs.usable) {
        throw trouble ?? new MooringError('UNAVAILABLE', { detail: `${issuer}: its keys are not known` })
      }
      try {
        return await set.find(header, token)
      } catch (error) {
        // A key that is new since: looked for once in a while, or anybody could let us ask the issuer without end.
        if (!(error instanceof errors.JWKSNoMatchingKey) || !mayAsk()) throw error
        await refresh()
        return set.find(header, token)
      }
    },
  }
}

/** Where an issuer describes itself (OpenID Connect Discovery 1.0, 4). */
function metadataUrl(issuer: string): URL {
  return new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
}
