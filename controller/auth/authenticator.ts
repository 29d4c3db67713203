import type { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'
import { Secret } from '../../shared/secret.ts'
import { bearerOf, secretPrefixes } from './bearer.ts'
import type { Reviews } from './kubernetes/reviews.ts'
import type { Oidc } from './oidc/oidc.ts'
import type { OperatorCertificates } from './operator-certificates.ts'
import type { Operators } from './operators.ts'
import type { Principal } from './policy.ts'

export interface AuthenticatorDeps {
  readonly operators: Pick<Operators, 'authenticate'>
  readonly certificates: Pick<OperatorCertificates, 'authenticate'>
  /** Of an issuer of tokens, where one is configured. */
  readonly oidc?: Oidc | undefined
  /** Of a cluster, where the controller serves one. */
  readonly reviews?: Pick<Reviews, 'identify'> | undefined
}

/** Recognises operators, however they come. */
export interface Authenticator {
  /**
   * The operator of a request: by its token, or, without an `Authorization` header, by its client certificate.
   * Undefined for nobody; throws `UNAUTHENTICATED` where it can be said what is wrong with a token.
   */
  principalOf(request: Pick<FastifyRequest, 'headers' | 'raw'>): Promise<Principal | undefined>
}

export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { operators, certificates, oidc, reviews } = deps

  /** A secret goes to nobody but whom it is of. */
  async function ofToken(token: string): Promise<Principal | undefined> {
    if (token.startsWith(secretPrefixes.operator)) return operators.authenticate(token)
    const secret = new Secret(token)
    if (oidc?.issued(secret)) return oidc.authenticate(secret)
    return reviews?.identify(secret)
  }

  return {
    async principalOf({ headers, raw }) {
      if (headers.authorization !== undefined) {
        const token = bearerOf(headers.authorization)
        return token === undefined ? undefined : ofToken(token)
      }
      // A browser shows its certificate for whatever page asks it to.
      const { origin, host } = headers
      if (origin !== undefined && origin !== `https://${host}`) return undefined
      return certificates.authenticate(raw.socket as TLSSocket)
    },
  }
}
