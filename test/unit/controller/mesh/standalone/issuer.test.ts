import { statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t from 'tap'
import { createIssuer } from '../../../../../controller/mesh/standalone/issuer.ts'
import { loadSigningKeys } from '../../../../../controller/mesh/standalone/signing-key.ts'
import { createFakeClock } from './fake-clock.ts'

const declared = new Set(['shop/web'])
const asked = { namespace: 'shop', serviceAccount: 'web', vm: 'i-1', ttlSeconds: 600 }

async function setUp(t: { testdir(): string; teardown(fn: () => unknown): void }) {
  const clock = createFakeClock(Date.now())
  const keys = await loadSigningKeys(join(t.testdir(), 'issuer-key.pem'))
  const issuer = createIssuer({ keys, trustDomain: 'cluster.local', declared: () => declared, clock })
  await issuer.listen()
  t.teardown(() => issuer.close())
  const rule = JSON.parse(issuer.jwtRule()) as { issuer: string; jwks_uri: string; audiences: string[] }
  return { issuer, clock, rule }
}

t.test('a token says what istiod asks for, and its key set verifies it', async (t) => {
  const { issuer, clock, rule } = await setUp(t)
  const { token, expiresAt } = await issuer.mint(asked)
  t.equal(`${token}`, '***')
  const { payload, protectedHeader } = await jwtVerify(
    token.reveal(),
    createRemoteJWKSet(new URL(rule.jwks_uri)),
    { issuer: rule.issuer, audience: 'istio-ca', currentDate: new Date(clock.now()) },
  )
  t.equal(payload.sub, 'system:serviceaccount:shop:web')
  t.same(payload.aud, ['istio-ca'], 'an array')
  t.equal(payload['mesh.mooring/vm'], 'i-1')
  t.equal((payload.exp ?? 0) * 1000, expiresAt)
  t.equal(expiresAt, Math.floor(clock.now() / 1000) * 1000 + 600_000)
  t.equal(protectedHeader.alg, 'RS256')
  t.same(rule.audiences, ['istio-ca'])
  const other = await issuer.mint(asked)
  t.not(other.token.reveal(), token.reveal(), 'each has an id of its own')
})

t.test('only what a pool declares is minted, and istiod itself never', async (t) => {
  const { issuer } = await setUp(t)
  const refused = [
    { ...asked, serviceAccount: 'admin' },
    { ...asked, namespace: 'bank' },
    { ...asked, namespace: 'istio-system', serviceAccount: 'istiod' },
  ]
  declared.add('istio-system/istiod')
  for (const request of refused) await t.rejects(issuer.mint(request), { code: 'IDENTITY_NOT_DECLARED' })
  declared.delete('istio-system/istiod')
})

t.test('no token lives longer than a day', async (t) => {
  const { issuer, clock } = await setUp(t)
  const { expiresAt } = await issuer.mint({ ...asked, ttlSeconds: 365 * 86_400 })
  t.ok(expiresAt <= clock.now() + 86_400_000)
})

t.test('the key set is on loopback, at one path, for reading', async (t) => {
  const { rule } = await setUp(t)
  const url = new URL(rule.jwks_uri)
  t.equal(url.hostname, '127.0.0.1')
  const body = (await (await fetch(url)).json()) as { keys: Record<string, string>[] }
  t.same(
    body.keys.map((key) => Object.keys(key).sort()),
    [['alg', 'e', 'kid', 'kty', 'n', 'use']],
  )
  for (const path of ['/', '/jwks.json?x=1', '/jwks.json/', '/.well-known/openid-configuration']) {
    t.equal((await fetch(new URL(path, url))).status, 404, path)
  }
  t.equal((await fetch(url, { method: 'POST' })).status, 404)
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')
  if (outside !== undefined) {
    const refused = await new Promise<string | undefined>((resolve) => {
      request({ host: outside.address, port: url.port, path: '/jwks.json' })
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
        .on('response', () => resolve('answered'))
        .end()
    })
    t.equal(refused, 'ECONNREFUSED')
  }
})

t.test('the key is kept, private, and one that is rotated out is still accepted', async (t) => {
  const file = join(t.testdir(), 'issuer-key.pem')
  const first = await loadSigningKeys(file)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal((await loadSigningKeys(file)).current.kid, first.current.kid)

  const other = await loadSigningKeys(join(file, '..', 'other-key.pem'))
  const pem = (keys: typeof first) => keys.current.key.export({ type: 'pkcs8', format: 'pem' }).toString()
  writeFileSync(file, pem(other) + pem(first))
  const both = await loadSigningKeys(file)
  t.equal(both.current.kid, other.current.kid)
  t.same(
    both.accepted.map(({ kid }) => kid),
    [other.current.kid, first.current.kid],
  )
  const header = decodeProtectedHeader(
    (
      await createIssuer({
        keys: both,
        trustDomain: 'd',
        declared: () => declared,
        clock: createFakeClock(),
      }).mint(asked)
    ).token.reveal(),
  )
  t.equal(header.kid, other.current.kid)
  for (const damaged of ['', 'x', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']) {
    writeFileSync(file, damaged)
    await t.rejects(loadSigningKeys(file), { code: 'STORE_UNREADABLE' })
  }
})
