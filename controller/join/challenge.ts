import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Static } from 'typebox'
import type { Challenge } from '../../shared/api/join.ts'
import { wireVersion } from '../../shared/api/wire.ts'
import type { Clock } from '../../shared/clock.ts'
import { MooringError } from '../../shared/errors.ts'

export interface ChallengesDeps {
  readonly clock: Clock
  /** Signs nonces; replicas that answer for each other share it. */
  readonly key: Uint8Array
  /** @defaultValue 60,000 */
  readonly lifeMs?: number
  /** How many used nonces are remembered. @defaultValue 100,000 */
  readonly keep?: number
}

/** Nonces that need no memory until they are used: asking for many of them costs the controller nothing. */
export interface Challenges {
  issue(): Static<typeof Challenge>
  /** Throws `CHALLENGE_EXPIRED` for a nonce that is not ours, or too old. */
  check(nonce: string): void
  /** Binds the nonce to the key that proved itself with it. Throws when another key has it already. */
  claim(nonce: string, thumbprint: string): void
}

// Clocks of replicas differ: what another one issued may seem to come from the future.
const skewMs = 5_000
const randomLength = 18
const timeLength = 6

/** A nonce is base64url of time, random bytes and HMAC-SHA-256 over both. */
export function createChallenges(deps: ChallengesDeps): Challenges {
  const { clock, key, lifeMs = 60_000, keep = 100_000 } = deps
  const claimed = new Map<string, { readonly thumbprint: string; readonly until: number }>()

  const mac = (body: Uint8Array) => createHmac('sha256', key).update('nonce').update(body).digest()

  function madeAt(nonce: string): number | undefined {
    const bytes = Buffer.from(nonce, 'base64url')
    const body = bytes.subarray(0, timeLength + randomLength)
    const shown = bytes.subarray(timeLength + randomLength)
    const wanted = mac(body)
    // Only one spelling: base64url decoders pass over what does not belong.
    if (bytes.toString('base64url') !== nonce || shown.length !== wanted.length) return undefined
    return timingSafeEqual(shown, wanted) ? body.readUIntBE(0, timeLength) : undefined
  }

  function forgetOld(now: number): void {
    for (const [nonce, claim] of claimed) {
      if (claim.until > now) break
      claimed.delete(nonce)
    }
  }

  return {
    issue() {
      const now = clock.now()
      const body = Buffer.alloc(timeLength + randomLength)
      body.writeUIntBE(now, 0, timeLength)
      randomBytes(randomLength).copy(body, timeLength)
      const nonce = Buffer.concat([body, mac(body)]).toString('base64url')
      return { nonce, expiresAt: now + lifeMs, now, wire: wireVersion }
    },
    check(nonce) {
      const made = madeAt(nonce)
      const now = clock.now()
      if (made === undefined || made + lifeMs < now || made > now + skewMs)
        throw new MooringError('CHALLENGE_EXPIRED')
    },
    claim(nonce, thumbprint) {
      const now = clock.now()
      forgetOld(now)
      const claim = claimed.get(nonce)
      if (claim !== undefined && claim.thumbprint !== thumbprint) {
        throw new MooringError('PROOF_INVALID', { detail: 'the challenge was answered with another key' })
      }
      if (claim === undefined && claimed.size >= keep) {
        throw new MooringError('UNAVAILABLE', { detail: 'too many joins at once', retryAfterSeconds: 5 })
      }
      claimed.set(nonce, { thumbprint, until: claim?.until ?? now + lifeMs })
    },
  }
}
