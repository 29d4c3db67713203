import { decodeJwt, errors, jwtVerify } from 'jose'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/secret.ts'
import type { RolePrincipal } from '../policy.ts'
import { type ClaimRules, principalOfClaims } from './claims.ts'
import type { KeySet } from './key-set.ts'

export interface OidcDeps extends ClaimRules {
  readonly issuer: string
  /** Whom tokens must be for. */
  readonly audience: string
  readonly clockSkewSeconds: number
  readonly keys: KeySet
  readonly clock: Clock
}

/** Operators who come with a token of an OpenID Connect issuer. */
export interface Oidc {
  /** Whether a token says of itself that it is of this issuer; nothing is verified. */
  issued(token: Secret): boolean
  /**
   * Who it is. Throws `UNAUTHENTICATED` with what is wrong with the token, `FORBIDDEN` when no grant fits, and
   * `UNAVAILABLE` while the issuer's keys are not known.
   */
  authenticate(token: Secret): Promise<RolePrincipal>
}

/** Public-key signatures alone: with a shared secret, whoever checks could also sign. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

export function createOidc(deps: OidcDeps): Oidc {
  const { issuer, audience, clockSkewSeconds, keys, clock } = deps
  return {
    issued(token) {
      try {
        return decodeJwt(token.reveal()).iss === issuer
      } catch {
        return false
      }
    },
    async authenticate(token) {
      const now = clock.now()
      const payload = await jwtVerify(token.reveal(), keys.keyFor, {
        ...{ issuer, audience, algorithms, clockTolerance: clockSkewSeconds },
        requiredClaims: ['exp', 'iat'],
        currentDate: new Date(now),
      }).then(
        (verified) => verified.payload,
        (error: unknown) => {
          throw error instanceof errors.JOSEError ? refused(wordsOf(error, audience), error) : error
        },
      )
      const { exp = 0, iat = 0 } = payload
      if (iat * 1000 > now + clockSkewSeconds * 1000) {
        throw refused("the token is of the future: the issuer's clock and this controller's disagree")
      }
      const verdict = principalOfClaims(payload, deps, exp * 1000)
      if ('principal' in verdict) return verdict.principal
      throw new MooringError(verdict.code, { detail: verdict.detail })
    },
  }
}

function refused(detail: string, cause?: unknown): MooringError {
  return new MooringError('UNAUTHENTICATED', { detail, cause })
}

function wordsOf(error: InstanceType<typeof errors.JOSEError>, audience: string): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWKSNoMatchingKey)
    return 'the issuer has no such key as the token was signed with'
  if (error instanceof errors.JWSSignatureVerificationFailed) return "the token's signature is wrong"
  if (error instanceof errors.JOSEAlgNotAllowed) return "the token's algorithm is not accepted"
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return `the token has no claim ${error.claim}`
    if (error.claim === 'aud') return `the token is not for ${audience}`
    if (error.claim === 'nbf') return 'the token is not valid yet'
    return `the token's claim ${error.claim} is wrong`
  }
  return 'the token cannot be read'
}
