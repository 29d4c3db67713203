import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import type { AuditRecord, PoolView } from '../../../shared/api/operator.ts'
import type { WhoAmI } from '../../../shared/api/who-am-i.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startController } from '../../fakes/controller.ts'
import { startIssuer } from '../../fakes/oidc-issuer.ts'

t.setTimeout(300_000)

const issuer = await startIssuer()
t.teardown(() => issuer.close())
const caFile = path.join(t.testdir(), 'issuer.pem')
await writeFile(caFile, issuer.ca)
let ahead = 0
const clock = { ...systemClock, now: () => Date.now() + ahead }
const grants = [
  { claim: 'groups', value: 'platform', role: 'admin', pools: ['*'] },
  { claim: 'groups', value: 'team', role: 'viewer', pools: ['web'] },
]
const oidc = { issuer: issuer.url, audience: 'mooring', caFile, grants }
const house = await startController({ clock, config: { operators: { oidc } } })
t.teardown(() => house.close())
await house.applyPool('web')
await house.applyPool('db', { serviceAccount: 'db' })

async function refused(token: string, route = '/v1/whoami') {
  const { status, text } = await house.call('GET', route, undefined, { token })
  const { code, detail } = JSON.parse(text) as { code: string; detail?: string }
  return { status, code, detail: detail ?? '' }
}

t.test('an operator of the issuer has the role and the pools of its claims', async (t) => {
  const token = await issuer.token()
  const me = (await house.call<WhoAmI>('GET', '/v1/whoami', undefined, { token })).json()
  t.match(me, { name: 'oidc:ada', by: 'oidc', role: 'viewer', pools: ['web'] })
  const pools = (await house.call<PoolView[]>('GET', '/v1/pools', undefined, { token })).json()
  t.same(
    pools.map(({ name }) => name),
    ['web'],
  )
  t.match(await refused(token, '/v1/pools/db'), { status: 403, code: 'FORBIDDEN' })
  t.match(await refused(token, '/v1/tokens'), { status: 403, detail: /role operator/ })
  const admin = await issuer.token({ sub: 'eve', groups: ['team', 'platform'] })
  const audit = (await house.call<AuditRecord[]>('GET', '/v1/audit', undefined, { token: admin })).json()
  t.ok(audit.some(({ actor, outcome }) => actor === 'operator:oidc:ada' && outcome === 'denied'))
  t.equal((await house.call('GET', '/v1/whoami')).status, 200, "the controller's own go on")
})

t.test('what is wrong with a token is said', async (t) => {
  const other = (await generateKeyPair('ES256')).privateKey
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer.url, aud: 'mooring', sub: 'ada', iat: now, exp: now + 60, groups: 'platform' }
  const shared = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.alloc(32, 1))
  const cases: readonly [string, RegExp][] = [
    [await issuer.token({ aud: 'somebody-else' }), /not for mooring/],
    [await issuer.token({ exp: now - 31 }), /expired/],
    [await issuer.token({ iat: now + 100, exp: now + 200 }), /of the future/],
    [await issuer.token({ nbf: now + 100 }), /not valid yet/],
    [await issuer.token({ exp: undefined }), /no claim exp/],
    [await issuer.token({ iat: undefined }), /no claim iat/],
    [await issuer.token({ sub: undefined }), /claim sub/],
    [await issuer.token({}, { key: other }), /signature is wrong/],
    [await shared, /algorithm is not accepted/],
    [new UnsecuredJWT(claims).encode(), /cannot be read|algorithm/],
  ]
  for (const [token, detail] of cases)
    t.match(await refused(token), { status: 401, code: 'UNAUTHENTICATED', detail })
  t.equal((await refused(await issuer.token({ iss: 'https://other.example' }))).status, 401)
  t.match(await refused(await issuer.token({ groups: [] })), { status: 403, detail: /no grant .* of ada/ })
  t.equal(
    (await house.call('GET', '/v1/whoami', undefined, { token: await issuer.token({ exp: now - 20 }) }))
      .status,
    200,
  )
  const groups = Array.from({ length: 200 }, (_, i) => `group-with-a-long-name-${i}`)
  t.equal((await refused(await issuer.token({ groups }))).code, 'FORBIDDEN', 'long tokens are read')
})

t.test(
  'another key of the issuer is found, and one issuer that is away refuses nobody for good',
  async (t) => {
    await issuer.rotate()
    t.match(
      await refused(await issuer.token()),
      { status: 401, detail: /no such key/ },
      'it was asked a moment ago',
    )
    ahead += 31_000
    const asked = issuer.seen.length
    const good = await issuer.token({}, { now: clock.now() })
    t.equal((await house.call('GET', '/v1/whoami', undefined, { token: good })).status, 200)
    t.equal(issuer.seen.length, asked + 2)
    ahead += 25 * 3_600_000
    const later = await issuer.token({}, { now: clock.now() })
    const faults: readonly [typeof issuer.faults.answer, RegExp][] = [
      [{ status: 503, body: '' }, /HTTP 503/],
      [{ status: 302, body: '', location: `${issuer.url}/keys` }, /HTTP 302/],
      [{ body: '<html>' }, /not JSON/],
      [{ body: '['.padEnd(300_000, ' ') }, /larger than/],
    ]
    for (const [answer, detail] of faults) {
      issuer.faults.answer = answer
      t.match(await refused(later), { status: 503, code: 'UNAVAILABLE', detail })
      ahead += 31_000
    }
    issuer.faults.answer = undefined
    t.equal((await house.call('GET', '/v1/whoami', undefined, { token: later })).status, 200)
  },
)

t.test('where none of its own are let in, nobody gets in by their means', async (t) => {
  const strict = await startController({ admin: 'mro_none', config: { operators: { own: 'refused', oidc } } })
  t.teardown(() => strict.close())
  t.equal(strict.announcement.enrolment, undefined)
  const admin = await issuer.token({ groups: ['platform'] })
  t.equal((await strict.call('GET', '/v1/operators', undefined, { token: admin })).status, 200)
  const made = await strict.call('POST', '/v1/operators', { name: 'bob', role: 'viewer' }, { token: admin })
  t.match(made.text, /operators\.own is refused/)
  const code = { code: `mre_${'x'.repeat(43)}`, name: 'bob' }
  t.equal((await strict.call('POST', '/v1/enrol', code, { token: '' })).status, 403)
  t.equal((await strict.call('GET', '/v1/whoami')).status, 401)
})
