import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'
import type { Clock } from '../../../shared/clock.ts'
import { MooringError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import type { MintedToken, MintRequest } from '../mesh.ts'
import { rootNamespace } from '../objects.ts'
import type { SigningKeys } from './signing-key.ts'

export interface IssuerDeps {
  readonly keys: SigningKeys
  readonly trustDomain: string
  /** `<namespace>/<service account>` of every pool. */
  readonly declared: () => ReadonlySet<string>
  readonly clock: Clock
}

/** Issues the tokens with which a VM's sidecar asks istiod for its first certificate. */
export interface Issuer {
  mint(request: MintRequest): Promise<MintedToken>
  /** istiod's JWT_RULE. Valid after `listen`. */
  jwtRule(): string
  /** Opens the key set for istiod, on loopback. */
  listen(): Promise<void>
  close(): Promise<void>
}

/** What istiod's certificate authority expects (istio pkg/security/security.go, `TokenAudiences`). */
const audience = 'istio-ca'
const keySetPath = '/jwks.json'
const maxTtlSeconds = 24 * 3600
/** Tokens count from a little before, for clocks that are slow. */
const skewSeconds = 30

/** Creates the issuer. Its key can make any identity of the mesh: `mint` is the one place that uses it. */
export function createIssuer(deps: IssuerDeps): Issuer {
  const { keys, clock } = deps
  // Only compared, never visited: the key set has an address of its own.
  const issuer = `https://mooring.${deps.trustDomain}`
  const keySet = JSON.stringify({ keys: keys.accepted })

  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== keySetPath) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(keySet)
  })
  server.maxConnections = 16
  server.requestTimeout = 5_000

  return {
    async mint({ namespace, serviceAccount, vm, ttlSeconds }) {
      const identity = `${namespace}/${serviceAccount}`
      if (namespace === rootNamespace || !deps.declared().has(identity)) {
        throw new MooringError('IDENTITY_NOT_DECLARED', { detail: identity })
      }
      const now = Math.floor(clock.now() / 1000)
      const expiresAt = now + Math.min(ttlSeconds, maxTtlSeconds)
      const token = await new SignJWT({ 'mesh.mooring/vm': vm })
        .setProtectedHeader({ alg: 'RS256', kid: keys.current.kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        // An array: istiod reads no other form (istio security/pkg/server/ca/authenticate/oidc.go).
        .setAudience([audience])
        .setIssuedAt(now)
        .setNotBefore(now - skewSeconds)
        .setExpirationTime(expiresAt)
        .setJti(randomUUID())
        .sign(keys.current.key)
      return { token: new Secret(token), expiresAt: expiresAt * 1000 }
    },
    jwtRule() {
      const { port } = server.address() as AddressInfo
      return JSON.stringify({
        issuer,
        jwks_uri: `http://127.0.0.1:${port}${keySetPath}`,
        audiences: [audience],
      })
    },
    listen: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', () => {
          server.off('error', reject)
          resolve()
        })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
