import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createTestAuthority } from './authority.ts'

/** What the stand-in does wrong on purpose; may be changed at any time. */
export interface IssuerFaults {
  /** Sent instead of what the path has. */
  answer?: { readonly status?: number; readonly body: string; readonly location?: string } | undefined
  /** The issuer that its metadata name. */
  issuer?: string
  keysUrl?: string
}

/**
 * A stand-in for an OpenID Connect issuer (Discovery 1.0, RFC 7517), over real HTTPS and with real keys: it describes
 * itself, serves its keys, and signs whatever it is told to.
 */
export interface FakeIssuer {
  readonly url: string
  /** PEM of the authority of its certificate. */
  readonly ca: string
  readonly faults: IssuerFaults
  /** Paths that were asked for. */
  readonly seen: readonly string[]
  /** A token with these claims over the usual ones; `undefined` leaves one out. */
  token(
    claims?: Readonly<Record<string, unknown>>,
    options?: { readonly now?: number; readonly key?: CryptoKey },
  ): Promise<string>
  /** Signs with another key from now on; the one before is forgotten. */
  rotate(): Promise<void>
  close(): Promise<void>
}

export async function startIssuer(): Promise<FakeIssuer> {
  const authority = await createTestAuthority('Issuer')
  const pair = await authority.server()
  const faults: IssuerFaults = {}
  const seen: string[] = []
  let number = 0
  let current = await newKey()

  async function newKey() {
    number += 1
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    const kid = `key-${number}`
    return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } }
  }

  const server = createServer({ key: pair.key, cert: pair.certificate }, (request, response) => {
    seen.push(request.url ?? '')
    const { answer } = faults
    if (answer !== undefined) {
      const { status = 200, body, location } = answer
      response.writeHead(status, { ...(location !== undefined && { location }) }).end(body)
      return
    }
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': {
        issuer: faults.issuer ?? url,
        jwks_uri: faults.keysUrl ?? `${url}/keys`,
      },
      '/keys': { keys: [current.jwk] },
    }
    const document = documents[request.url ?? '']
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    url,
    ca: authority.certificate,
    faults,
    seen,
    async token(claims = {}, { now = Date.now(), key = current.privateKey } = {}) {
      const seconds = Math.floor(now / 1000)
      const usual = {
        iss: url,
        aud: 'mooring',
        sub: 'ada',
        iat: seconds,
        exp: seconds + 600,
        groups: ['team'],
      }
      return new SignJWT({ ...usual, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: current.kid })
        .sign(key)
    },
    async rotate() {
      current = await newKey()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
